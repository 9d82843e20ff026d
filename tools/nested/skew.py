"""One process whose wall clock is wrong, by libfaketime; its steady clock, as on a real host, is not."""

from pathlib import Path

from nested.errors import LabError
from nested.processes import Process

LIBRARIES = Path("/usr/lib")
LIBRARY = "*/faketime/libfaketimeMT.so.1"
SHARED_MEMORY = Path("/dev/shm")


def environment(seconds: int) -> dict[str, str]:
    """Return what a process must be started with to be so far ahead, or behind."""
    if seconds == 0:
        return {}
    library = next(LIBRARIES.glob(LIBRARY), None)
    if library is None:
        raise LabError("skew.missing", "libfaketime is missing; 'tools/setup lab' installs it.")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def forget(process: Process) -> None:
    """Take away the names of what the library shares with programs this process might start: it has
    them open by now, starts none, and would leave them behind when it is killed."""
    for kind in ("faketime_shm", "sem.faketime_sem"):
        (SHARED_MEMORY / f"{kind}_{process.pid}").unlink(missing_ok=True)
