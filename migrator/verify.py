"""`migrator-manage verify`: do the rules hold, by the hosts themselves and by the records?

The running service is asked, by its API: it alone may write, knows what moves just now, and its agents
look at the hosts. Exit status: 0 everything holds, 1 something is wrong, 3 the service or a host cannot
be asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from migrator.cli.client import Client, endpoint_from_environment
from migrator.cli.exits import CommandFailed

SUMMARY = (
    "check on every host and in every record that each guest runs in one place, that its record says "
    "where, that claims are what is in use, and that ended migrations left nothing behind"
)
REPAIR = (
    "also mend what needs no choice: records that differ from what their hosts say, and what an ended "
    "migration left on a host; each deed is printed, and no guest that has run is ever removed"
)
HOLDS, WRONG, UNKNOWN = 0, 1, 3
UNSEEN = "unseen"


def run(repair: bool, form: str) -> int:
    """Ask, print, and say by the exit status how things are."""
    try:
        client = Client(endpoint_from_environment())
        answer = client.verify(repair)
    except CommandFailed as failed:
        print(f"{failed.code}: {failed.message}", file=sys.stderr)
        return failed.status
    if form == "json":
        print(json.dumps(answer))
    else:
        print("\n".join(lines(answer)))
    return status(answer)


def status(answer: Mapping[str, Any]) -> int:
    """What is certainly wrong outweighs what could not be looked at."""
    codes = {breach["rule"] for breach in answer["breaches"]}
    if codes - {UNSEEN}:
        return WRONG
    return UNKNOWN if codes else HOLDS


def lines(answer: Mapping[str, Any]) -> list[str]:
    """For a person."""
    said = [f"mended: {deed}" for deed in answer["repaired"]]
    for breach in answer["breaches"]:
        said.append(f"{breach['rule']}: {breach['message']}")
        if breach["repair"]:
            said.append("    `migrator-manage verify --repair` mends this")
    moving = f", {answer['moving']} of them moving and not judged" if answer["moving"] else ""
    said.append(f"{answer['instances']} instances looked at{moving}; {_sum(answer)}")
    return said


def _sum(answer: Mapping[str, Any]) -> str:
    wrong = sum(breach["rule"] != UNSEEN for breach in answer["breaches"])
    unseen = len(answer["breaches"]) - wrong
    if not answer["breaches"]:
        return "every rule holds"
    parts = [f"{wrong} found wrong" if wrong else "", f"{unseen} hosts not seen" if unseen else ""]
    return " and ".join(part for part in parts if part)
