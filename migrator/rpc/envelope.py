"""What an answer travels in, packed at the server and opened at the caller.

``{"ok": reply}`` or ``{"error": {class, code, message, facts}}``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

from migrator.errors import Broken, MigratorError, Refused, error_from_dict
from migrator.messages import Method

LOG = logging.getLogger(__name__)

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def answer(
    method: Method, handle: Callable[[Any], Any], _ctxt: object, request: Any = None, **_newer: Any
) -> dict[str, Any]:
    """One request to one envelope; never raises, so that no traceback leaves the server."""
    try:
        reply = handle(_decode(method, request))
        if not isinstance(reply, method.reply):
            raise TypeError(f"{method.name} answered {type(reply).__name__}")
        return {"ok": msgspec.to_builtins(reply, str_keys=True)}
    except MigratorError as error:
        return {"error": msgspec.to_builtins(error.to_dict(), str_keys=True, enc_hook=repr)}
    except Exception:
        LOG.exception("%s failed in an unforeseen way", method.name)
        bug = Broken(
            "internal", f"{method.name} failed; the log of its server says why", method=method.name
        )
        return {"error": bug.to_dict()}


def _decode(method: Method, request: Any) -> Any:
    try:
        return msgspec.convert(request, method.request, str_keys=True)
    except msgspec.ValidationError as error:
        sentence = str(error)
        at, missing = _PATH.search(sentence), _MISSING.search(sentence)
        path = [found.group(1) for found in (at, missing) if found]
        raise Refused(
            "rpc.bad_request",
            f"{method.name} cannot be read: {sentence}",
            method=method.name,
            field=".".join(path),
        ) from error


def open_envelope(method: Method, envelope: Any) -> Any:
    """The reply in it, an instance of the method's reply type.

    :raises MigratorError: the failure in it, or ``internal`` for what is no envelope.
    """
    try:
        if "error" in envelope:
            failure = error_from_dict(envelope["error"])
        else:
            return msgspec.convert(envelope["ok"], method.reply, str_keys=True)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Broken(
            "internal", f"the answer to {method.name} cannot be read: {error}", method=method.name
        ) from error
    raise failure
