"""Every failure as the one error document: ``{"error": {"code", "message", "details"}}``."""

from __future__ import annotations

import logging
from typing import Any

import falcon
import msgspec

from migrator.errors import Broken, MigratorError, Refused, Transient

LOG = logging.getLogger(__name__)

RETRY_AFTER_S = 2
"""What a client that was told 503 should wait."""


class ErrorBody(msgspec.Struct, frozen=True):
    """``code`` never changes its meaning; ``message`` is for people; ``details`` are its facts."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorDocument(msgspec.Struct, frozen=True):
    """The answer to every request that got no good one."""

    error: ErrorBody


def status_of(error: MigratorError) -> int:
    """A no is always a 4xx, whatever its code's usual status: asking again gets the same answer."""
    if isinstance(error, Refused) and error.http_status >= 500:
        return 409
    return error.http_status


def document(error: MigratorError) -> bytes:
    """The error document; facts that are not JSON become text."""
    body = ErrorDocument(ErrorBody(error.code, error.message, error.facts))
    return msgspec.json.encode(body, enc_hook=str)


def handle_refusal(
    req: falcon.Request, resp: falcon.Response, error: MigratorError, params: dict[str, Any]
) -> None:
    """A coded failure of ours."""
    if isinstance(error, Broken):
        LOG.error("request %s: %s", req.context.request_id, error, exc_info=error)
    if isinstance(error, Transient):
        resp.set_header("Retry-After", str(RETRY_AFTER_S))
    _answer(resp, status_of(error), error)


def handle_http(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]
) -> None:
    """What falcon itself refuses: no such path, no such method, malformed."""
    resp.set_headers(error.headers or {})
    _answer(resp, error.status_code, _from_falcon(req, error))


def handle_unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    """A bug: logged under the request's id, and only that id is told."""
    request_id = req.context.request_id
    LOG.error("request %s: %s %s failed", request_id, req.method, req.path, exc_info=error)
    broken = Broken(
        "internal",
        f"something went wrong inside migrator; its log has the details under {request_id}",
        request_id=request_id,
    )
    _answer(resp, 500, broken)


def _answer(resp: falcon.Response, status: int, error: MigratorError) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.data = document(error)


def _from_falcon(req: falcon.Request, error: falcon.HTTPError) -> Refused:
    if isinstance(error, falcon.HTTPNotFound):
        return Refused(
            "route.unknown", f"there is nothing at {req.path}; /openapi.json lists every route"
        )
    if isinstance(error, falcon.HTTPMethodNotAllowed):
        allowed = dict(error.headers or {}).get("Allow", "")
        return Refused(
            "route.unknown", f"{req.method} is not possible at {req.path}; it takes {allowed}"
        )
    return Refused(
        "request.invalid", error.description or error.title or "the request is malformed"
    )
