"""From what arrived to an :class:`~migrator.api.asks.Ask`, or a refusal that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import falcon
import msgspec

from migrator.api.asks import Ask
from migrator.api.routes import Route
from migrator.errors import Refused

MAX_BODY = 1024 * 1024
"""Bytes; the longest sensible request is a thousandth of it."""

A = TypeVar("A", bound=Ask)

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)


def too_large() -> Refused:
    return Refused(
        "request.too_large",
        f"the body is longer than the {MAX_BODY} bytes that are accepted; nothing was read or changed",
        limit=MAX_BODY,
    )


def read_ask(route: Route[A], req: falcon.Request, path: Mapping[str, str]) -> A:
    """Path, query and body as the route's ask.

    :raises Refused: ``request.invalid`` (facts ``field`` where one is to blame) or
        ``request.too_large``.
    """
    if route.method == "GET":
        fields: dict[str, Any] = dict(req.params)
    else:
        _no_query(req)
        nothing_sent = route.body_may_be_left_out and not req.content_type
        fields = _json_object(req) if route.has_body and not nothing_sent else {}
    for name in route.path_fields:
        if name in fields:
            raise invalid(f"{name} is part of the path and cannot be given again", name)
    _idempotency_key(route, req, fields)
    # The server leaves this one escape in a path alone, so that it splits at no slash of a name.
    names = {name: re.sub("%2[Ff]", "/", value) for name, value in path.items()}
    return convert({**fields, **names}, route.ask, strict=route.method != "GET")


def convert(fields: dict[str, Any], ask: type[A], strict: bool) -> A:
    """``fields`` as ``ask``; ``strict`` False also takes numbers and booleans written as text.

    :raises Refused: ``request.invalid``.
    """
    try:
        return msgspec.convert(fields, ask, strict=strict)
    except msgspec.ValidationError as error:
        raise _explain(str(error), ask) from None


def invalid(message: str, field: str | None = None) -> Refused:
    """``request.invalid``, with the field to blame."""
    return Refused("request.invalid", message, **({"field": field} if field else {}))


def _no_query(req: falcon.Request) -> None:
    if req.query_string:
        raise invalid("this request takes its fields in a JSON body, not after a '?'")


def _json_object(req: falcon.Request) -> dict[str, Any]:
    media = (req.content_type or "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise falcon.HTTPUnsupportedMediaType(
            description=f"a body must be application/json, not {media or 'of no type'}"
        )
    try:
        raw = req.bounded_stream.read(MAX_BODY)
    except OSError:
        # A client that went away reads no answer; one that is only slow does.
        raise falcon.HTTPError(
            408, description="the body did not arrive whole and in time; nothing was changed"
        ) from None
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise invalid("the body is nested too deeply") from None
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, not {type(document).__name__}")
    return document


def _idempotency_key(route: Route[Any], req: falcon.Request, fields: dict[str, Any]) -> None:
    key = req.get_header("Idempotency-Key")
    if key is None or "request_id" not in route.ask.__struct_fields__:
        return
    if fields.setdefault("request_id", key) != key:
        raise invalid(
            "request_id in the body and the header Idempotency-Key differ; send one of them",
            "request_id",
        )


def _explain(text: str, ask: type[Ask]) -> Refused:
    found = _WHERE.match(text)
    assert found is not None
    what, field = found["what"], found["field"] or None
    unknown = re.match(r"Object contains unknown field `(.*)`", what, re.DOTALL)
    if unknown:
        return invalid(f"there is no field {unknown[1]!r} in this request", unknown[1])
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        return invalid(f"{missing[1]} is missing", missing[1])
    if what.startswith("Invalid enum value") and field:
        what = f"must be one of: {', '.join(get_args(get_type_hints(ask)[field]))}"
    if "matching regex" in what:
        slash = "'/' and " if "[^/" in what else ""
        what = f"{slash}control characters are not allowed"
    return invalid(f"{field}: {what}" if field else what, field)
