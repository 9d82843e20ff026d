"""What one host can show of a domain: one view in words, or every one there is."""

from __future__ import annotations

import itertools
import re

from migrator.model import DomainState, DomainView, JobSample, Reason

JOB = JobSample("migration_out")


def read(text: str, job: JobSample | None = None) -> DomainView | None:
    """``paused(user)`` as a view; ``?`` is a host that does not answer."""
    if text == "?":
        return None
    found = re.fullmatch(r"(\w+)(?:\((\w+)\))?", text)
    assert found is not None
    return DomainView(DomainState(found[1]), Reason(found[2] or "unknown"), job=job)


def every_view(*jobs: JobSample | None) -> list[DomainView | None]:
    """Each state with each reason, also those that libvirt never shows together, and no answer."""
    every = itertools.product(DomainState, Reason, jobs)
    return [None, *(DomainView(state, reason, job=job) for state, reason, job in every)]
