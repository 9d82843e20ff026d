"""Which devices the requests get, given the host cells the guest lies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from migrator.model import DeviceGiven, DeviceKind, PciNuma
from migrator.scheduler.fit.need import DeviceNeed, Need
from migrator.scheduler.fit.stock import Sort, Stock

TOO_FAR = 9
_REACH = {
    PciNuma.REQUIRED: (0, TOO_FAR, TOO_FAR, TOO_FAR),
    PciNuma.SOCKET: (0, 1, TOO_FAR, TOO_FAR),
    PciNuma.LEGACY: (0, TOO_FAR, 1, TOO_FAR),
    PciNuma.PREFERRED: (0, 1, 2, 3),
}
"""policy -> how much a device is liked: in a cell of the guest, in a socket of one, nowhere known,
elsewhere."""

Amounts = tuple[tuple[int, int], ...]
"""(position of a sort, how many of it)"""


def distance(sort: Sort, numa: PciNuma, cells: int) -> int:
    """How far from ``cells``, by that policy; ``TOO_FAR`` where it forbids it."""
    near, socket, unknown, far = _REACH[numa]
    if sort.node & cells:
        return near
    if not sort.node:
        return unknown
    return socket if sort.socket & cells else far


def enough_devices(stock: Stock, need: Need) -> bool:
    """Whether there are as many as are asked for, wherever they are: quickly, for most hosts say no."""
    for one in need.devices:
        missing, there = one.count, stock.amounts
        if one.numa is PciNuma.REQUIRED and need.bound and len(need.cells) == 1:
            there = stock.most_near
        for at in one.among(stock.makes):
            missing -= there[at]
        if missing > 0:
            return False
    return True


def enough_near(stock: Stock, need: Need, cells: int) -> bool:
    """The same of devices that must be in these cells: as quick a no before anything is chosen."""
    for one in need.devices:
        if one.numa is PciNuma.REQUIRED:
            missing = one.count
            for make, count in stock.near.get(cells, stock.counts).items():
                if one.takes(make):
                    missing -= count
            if missing > 0:
                return False
    return True


def choose_devices(stock: Stock, need: Need, cells: int) -> tuple[DeviceGiven, ...] | None:
    """Devices for every request, None when there is no way. Near ones first, the same ones every time.

    :param cells: bits of the host cells the guest lies on.
    """
    sorts = stock.physical if need.physical else stock.sorts
    if len(need.devices) == 1 and not need.physical:
        only = need.devices[0]
        found = _take(sorts, _liked(sorts, only, cells), only.count)
        return None if found is None else _given(sorts, (found,), need.devices)
    liked = [_liked(sorts, one, cells) for one in need.devices]
    if any(sum(len(sorts[at].addresses) for at in some) < one.count
           for some, one in zip(liked, need.devices, strict=True)):  # fmt: skip
        return None
    found_all = _Search(sorts, liked, [one.count for one in need.devices]).found()
    return None if found_all is None else _given(sorts, found_all, need.devices)


def count_near(stock: Stock, need: DeviceNeed, cells: int) -> int:
    """How many free devices would do, other requests aside."""
    sorts = stock.physical if need.physical else stock.sorts
    return sum(len(sorts[at].addresses) for at in _liked(sorts, need, cells))


def _liked(sorts: Sequence[Sort], need: DeviceNeed, cells: int) -> list[int]:
    """Positions of the sorts that would do, nearest first."""
    others: list[tuple[int, int]] = []
    found = []
    makes = need.makes
    for position, sort in enumerate(sorts):
        if not (makes[sort.make] if sort.make in makes else need.takes(sort.make)):
            continue
        if sort.node & cells:
            found.append(position)
        else:
            far = distance(sort, need.numa, cells)
            if far != TOO_FAR:
                others.append((far, position))
    if others:
        others.sort()
        found += [position for _, position in others]
    return found


def _take(sorts: Sequence[Sort], liked: Sequence[int], count: int) -> Amounts | None:
    """For one request alone nothing has to be tried."""
    amounts = []
    for position in liked:
        some = min(len(sorts[position].addresses), count)
        amounts.append((position, some))
        count -= some
        if not count:
            return tuple(amounts)
    return None


def _given(
    sorts: Sequence[Sort], amounts: Sequence[Amounts], needs: Sequence[DeviceNeed]
) -> tuple[DeviceGiven, ...]:
    used: dict[int, int] = {}
    given = []
    for need, some in zip(needs, amounts, strict=True):
        addresses: list[str] = []
        for position, count in some:
            start = used.get(position, 0)
            addresses += sorts[position].addresses[start : start + count]
            used[position] = start + count
        given += [DeviceGiven(need.id, address) for address in sorted(addresses)]
    return tuple(given)


@dataclass
class _Search:
    """Several requests that may want the same devices, or a physical function and its virtual ones."""

    sorts: Sequence[Sort]
    liked: Sequence[Sequence[int]]
    counts: Sequence[int]
    left: list[int] = field(init=False)
    hopeless: set[tuple[int, int, int, tuple[int, ...]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.left = [len(sort.addresses) for sort in self.sorts]

    def found(self) -> list[Amounts] | None:
        """How many of which sort for each request."""
        return self._request(0)

    def _request(self, position: int) -> list[Amounts] | None:
        if position == len(self.counts):
            return []
        return self._sort(position, 0, self.counts[position])

    def _sort(self, position: int, at: int, missing: int) -> list[Amounts] | None:
        """Serve a request from its ``at``-th sort on: as many of that as possible first."""
        if not missing:
            rest = self._request(position + 1)
            return None if rest is None else [(), *rest]
        if at == len(self.liked[position]):
            return None
        state = (position, at, missing, tuple(self.left))
        if state in self.hopeless:
            return None
        sort = self.liked[position][at]
        for some in range(min(self.left[sort], missing), -1, -1):
            before = list(self.left)
            self._remove(sort, some)
            rest = self._sort(position, at + 1, missing - some)
            self.left = before
            if rest is not None:
                return [((sort, some), *rest[0]), *rest[1:]] if some else rest
        self.hopeless.add(state)
        return None

    def _remove(self, position: int, some: int) -> None:
        self.left[position] -= some
        sort = self.sorts[position]
        if not some or sort.parent is None:
            return
        physical = sort.make[2] is DeviceKind.PF
        for other, each in enumerate(self.sorts):
            if each.parent == sort.parent and (each.make[2] is DeviceKind.PF) != physical:
                self.left[other] = 0
