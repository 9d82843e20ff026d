"""What an operator may wish for an instance."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.conductor.wishes import label, labels, wishes_after
from migrator.errors import Refused
from migrator.messages import WishInstance
from migrator.model import PciNuma, ThreadPolicy, Wishes


def after(wishes: Wishes, **asked: Any) -> Wishes:
    return wishes_after(wishes, WishInstance(instance="web1", **asked))


def test_what_is_not_given_stays() -> None:
    before = Wishes(tags=("ssd",), zone="row-1", threads=ThreadPolicy.ISOLATE)
    assert after(before) == before
    assert after(before, affinity=["db"]) == Wishes(
        tags=("ssd",), zone="row-1", threads=ThreadPolicy.ISOLATE, affinity=("db",)
    )


def test_what_is_given_replaces_what_was_and_empty_takes_it_back() -> None:
    before = Wishes(tags=("ssd",), zone="row-1", pci_numa=PciNuma.REQUIRED)
    assert after(before, tags=["gpu", "b", "gpu"]).tags == ("b", "gpu")
    assert after(before, tags=[], zone="", pci_numa="") == Wishes()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"tags": ["with blank"]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"affinity": ["-x"]}, "affinity"),
        ({"anti_affinity": ["x" * 65]}, "anti_affinity"),
        ({"forbidden_tags": ["a\nb"]}, "forbidden_tags"),
        ({"zone": "row/1"}, "zone"),
        ({"threads": "maybe"}, "threads"),
        ({"pci_live": "always"}, "pci_live"),
        ({"tags": ["a"], "forbidden_tags": ["a"]}, "tags"),
        ({"affinity": ["a"], "anti_affinity": ["a"]}, "affinity"),
        ({"tags": [f"t{number}" for number in range(33)]}, "tags"),
    ],
)
def test_what_means_nothing_is_refused_with_its_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        after(Wishes(), **asked)
    assert refused.value.code == "request.invalid"
    assert refused.value.facts["field"] == field


def test_a_wish_against_what_was_wished_before_is_refused() -> None:
    with pytest.raises(Refused, match="no host would suit"):
        after(Wishes(tags=("ssd",)), forbidden_tags=["ssd"])


def test_labels_are_sorted_and_an_empty_one_is_none() -> None:
    assert labels("tags", ["b", "a", "b"]) == ("a", "b")
    assert (label("zone", ""), label("zone", "row-1")) == (None, "row-1")
