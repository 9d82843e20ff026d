"""The unix socket: made for root alone, and never taken from a server that is alive."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from migrator.errors import Refused

BACKLOG = 128
"""Connections waiting to be accepted; beyond it a unix socket refuses at once."""

ALIVE_S = 2.0
"""How long a server that holds the socket may take to let a connection in."""


def bind_unix(path: str) -> socket.socket:
    """A listening socket at ``path``, mode 0600; what a dead server left there is replaced.

    It appears under its name only when it is complete: nobody can connect to it before its mode is set.

    :raises Refused: ``config.invalid``: another server is alive there, something else than a socket
        lies there, or the directory cannot be used.
    """
    _refuse_occupied(path)
    directory = os.path.dirname(path)
    draft = os.path.join(directory, f".{os.getpid()}")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        server.bind(draft)
        os.chmod(draft, 0o600)
        server.listen(BACKLOG)
        os.rename(draft, path)
    except OSError as error:
        server.close()
        raise Refused(
            "config.invalid",
            f"[api] listen: no socket can be made at {path}: {error.strerror}",
        ) from error
    return server


def unlink_own(path: str, server_inode: int) -> None:
    """Remove the socket file if it is still the one with this inode number."""
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(path).st_ino == server_inode:
            os.unlink(path)


def _refuse_occupied(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise Refused(
            "config.invalid",
            f"[api] listen: {path} exists and is not a socket; remove it or name another path",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ALIVE_S)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except TimeoutError:
            pass
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise Refused(
                    "config.invalid", f"[api] listen: {path} cannot be used: {error.strerror}"
                ) from error
    raise Refused(
        "config.invalid",
        f"[api] listen: another server is alive at {path}; stop it, or name another path",
    )
