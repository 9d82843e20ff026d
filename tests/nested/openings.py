"""Who opens a file: the kernel's word, not ours."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType

FAN_CLASS_NOTIF, FAN_NONBLOCK, FAN_CLOEXEC = 0x0, 0x2, 0x1
FAN_MARK_ADD, FAN_OPEN = 0x1, 0x20
AT_FDCWD = -100
EVENT = struct.Struct("IBBHQii")
"""fanotify_event_metadata: length, version, reserved, metadata length, mask, fd, pid."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = [
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.c_int,
    ctypes.c_char_p,
]


class Openings:
    """From entry to exit, which programs of the machine opened the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.programs: list[str] = []

    def __enter__(self) -> Openings:
        flags = FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC
        self._watch = _libc.fanotify_init(flags, os.O_RDONLY)
        assert self._watch >= 0, os.strerror(ctypes.get_errno())
        added = _libc.fanotify_mark(
            self._watch, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, os.fsencode(self._path)
        )
        assert added == 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while events := os.read(self._watch, 4096):
                for length, _, _, _, _, opened, pid in EVENT.iter_unpack(events):
                    assert length == EVENT.size
                    os.close(opened)
                    self.programs.append(_program(pid))
        except BlockingIOError:
            pass
        finally:
            os.close(self._watch)


def _program(pid: int) -> str:
    """Its name; one that has ended since cannot be asked."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return f"process {pid}"
