"""The WSGI application: one falcon resource for each path of the route table."""

from __future__ import annotations

import http
import logging
import re
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import falcon
import msgspec

from migrator.api import failures, metrics, openapi
from migrator.api.asks import SomeEvents
from migrator.api.decode import MAX_BODY, invalid, read_ask, too_large
from migrator.api.metrics import Metrics
from migrator.api.migrations import events
from migrator.api.routes import ROUTES, Route
from migrator.api.settings import ApiSettings
from migrator.api.stream import EventStream, Pace, Viewers
from migrator.errors import MigratorError
from migrator.messages import Empty, EventList
from migrator.version import version

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi

LOG = logging.getLogger(__name__)
ACCESS = logging.getLogger("migrator.api.access")
"""One line for each request, for whoever turns ``debug`` on."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset(http.HTTPMethod)


class Api:
    """Everything the resources share: the conductor, the viewers, the metrics, the stop signal."""

    def __init__(
        self, settings: ApiSettings, conductor: ConductorApi, stop: threading.Event
    ) -> None:
        self.settings = settings
        self.conductor = conductor
        self.stop = stop
        self.viewers = Viewers(settings.viewers)
        self.metrics = Metrics(conductor, lambda: self.viewers.count)

    def wsgi(self) -> falcon.App[falcon.Request, falcon.Response]:
        """The application."""
        app = falcon.App(middleware=[_Bookkeeping(self)])
        app.req_options.auto_parse_qs_csv = False
        app.add_error_handler(Exception, failures.handle_unexpected)
        app.add_error_handler(falcon.HTTPError, failures.handle_http)
        app.add_error_handler(MigratorError, failures.handle_refusal)
        for path in dict.fromkeys(route.path for route in ROUTES):
            app.add_route(path, _Resource(self, path))
        app.add_route("/healthz", _Healthz(self))
        app.add_route("/metrics", _Metrics(self))
        app.add_route("/openapi.json", _OpenApi())
        return app


class _Resource:
    """One path; falcon finds a method by its ``on_...`` attribute."""

    def __init__(self, api: Api, path: str) -> None:
        for route in ROUTES:
            if route.path == path:
                setattr(self, f"on_{route.method.lower()}", _responder(api, route))


def _responder(api: Api, route: Route[Any]) -> Any:
    def respond(req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        ask = read_ask(route, req, path)
        if route.streams and _wants_events(req):
            _stream(api, ask, req, resp)
            return
        resp.status = route.status
        resp.data = msgspec.json.encode(route.do(api.conductor, ask))

    return respond


def _wants_events(req: falcon.Request) -> bool:
    return "text/event-stream" in (req.get_header("Accept") or "").lower()


def _stream(api: Api, ask: SomeEvents, req: falcon.Request, resp: falcon.Response) -> None:
    last_seen = req.get_header("Last-Event-ID")
    if last_seen is not None:
        if not re.fullmatch(r"[0-9]{1,15}", last_seen):
            raise invalid("Last-Event-ID must be the number of an event", "Last-Event-ID")
        ask = msgspec.structs.replace(ask, after=int(last_seen))

    def look(after: int) -> EventList:
        return events(api.conductor, msgspec.structs.replace(ask, after=max(after, ask.after)))

    api.viewers.enter()
    try:
        first = look(ask.after)
    except BaseException:
        api.viewers.leave()
        raise
    pace = Pace(api.settings.watch_s, api.settings.keep_alive_s)
    resp.content_type = "text/event-stream"
    resp.stream = EventStream(look, first, api.viewers, api.stop).at(pace)


class _Healthz:
    def __init__(self, api: Api) -> None:
        self._api = api

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        health = self._api.conductor.health(Empty())
        resp.status = 200 if health.ok else 503
        resp.data = msgspec.json.encode(health)


class _Metrics:
    def __init__(self, api: Api) -> None:
        self._api = api

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = metrics.CONTENT_TYPE
        resp.data = self._api.metrics.render()


class _OpenApi:
    def __init__(self) -> None:
        self._document = msgspec.json.encode(openapi.build(version()))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = self._document


class _Bookkeeping:
    """What is done around every request, whatever becomes of it."""

    def __init__(self, api: Api) -> None:
        self._metrics = api.metrics

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.started = time.monotonic()
        given = req.get_header("X-Request-Id") or ""
        req.context.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        resp.set_header("X-Request-Id", req.context.request_id)
        resp.set_header("Cache-Control", "no-store")
        # Before routing: a server drains what a resource leaves unread, however long it is.
        if (req.content_length or 0) > MAX_BODY:
            raise too_large()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        seconds = time.monotonic() - req.context.started
        # Only names from our own tables become labels: a caller must not be able to make new series.
        method = req.method if req.method in _METHODS else "other"
        route = req.uri_template or "unknown"
        self._metrics.requests.labels(method, route, resp.status_code).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        ACCESS.debug(
            "%s %s %r %s %.1f ms",
            req.context.request_id,
            req.method,
            req.relative_uri,
            resp.status_code,
            seconds * 1000,
        )
