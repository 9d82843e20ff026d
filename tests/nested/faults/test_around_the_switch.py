"""An abort that comes with the switch: it ends either way, with one owner and a true record."""

from __future__ import annotations

import time

import httpx
import libvirt
import pytest

from tests.nested.faults.results import Result, keeping
from tests.nested.lab import SLOWLY, Host, Lab
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]

OFFSETS_MS = (-50, 0, 50)
"""From the destination's first instruction. The source is paused some 50 to 100 ms before."""
WAIT_S = 60.0


@pytest.mark.parametrize("offset", OFFSETS_MS)
def test_an_abort_around_the_switch(offset: int, broker_lab: Lab, broker_roamer: str) -> None:
    lab, guest = broker_lab, broker_roamer
    source = lab.home_of(guest)
    destination = lab.other(source)
    with keeping(
        Result(f"abort-{offset:+d}-ms", "abort", "migration", f"switch {offset:+d} ms", False)
    ) as result:
        moving = lab.migrate(guest, destination, *SLOWLY)
        moving.until_memory_flows()
        transport = httpx.HTTPTransport(uds=lab.endpoint.removeprefix("unix://"))
        with httpx.Client(transport=transport, base_url="http://lab", timeout=60) as client:
            lab.hurry(guest, source)
            await_switch(guest, source, destination, offset)
            answer = client.post(f"/v1/migrations/{moving.id}/abort", json={})
        result.is_back()
        ended = moving.until_ended(120)
        result.has_ended(ended["state"], ended["error_code"])
        assert ended["state"] in ("completed", "cancelled"), moving.story()
        if answer.status_code >= 300:
            assert answer.json()["error"]["code"], answer.text
            assert ended["state"] == "completed", (answer.text, moving.story())
        arrived = ended["state"] == "completed"
        assert lab.home_of(guest) == (destination if arrived else source), moving.story()
        verify(lab)
        result.has_settled()


def await_switch(guest: str, source: Host, destination: Host, offset_ms: int) -> None:
    """Until so long after it; before it means: as soon as the source is paused for it."""
    here, there = (libvirt.open(host.libvirt_uri) for host in (source, destination))
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    deadline = time.monotonic() + WAIT_S
    try:
        leaving, arriving = here.lookupByName(guest), there.lookupByName(guest)
        while time.monotonic() < deadline:
            if offset_ms < 0 and not runs(leaving):
                return
            if runs(arriving):
                time.sleep(max(offset_ms, 0) / 1000)
                return
        raise AssertionError(f"{guest} was not switched within {WAIT_S:.0f} s")
    finally:
        here.close()
        there.close()


def runs(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING)
    except libvirt.libvirtError:
        return False
