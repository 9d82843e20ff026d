"""The OpenAPI document, made from the route table and the types in it."""

from __future__ import annotations

from typing import Any

import msgspec

from migrator.api.failures import ErrorDocument
from migrator.api.routes import ROUTES, Route
from migrator.messages import Health

_TEMPLATE = "#/components/schemas/{name}"
_PROBES = {
    "/healthz": ("Whether the service can do its work", {"200": "It can", "503": "It cannot"}),
    "/metrics": ("Metrics in the Prometheus text format", {"200": "The metrics"}),
    "/openapi.json": ("This document", {"200": "This document"}),
}


def build(version: str) -> dict[str, Any]:
    """The document as a JSON-able dictionary."""
    types: dict[str, type[msgspec.Struct]] = {"error": ErrorDocument, "health": Health}
    for route in ROUTES:
        types[route.reply.__name__] = route.reply
        types[route.ask.__name__] = route.ask
    _, schemas = msgspec.json.schema_components(list(types.values()), ref_template=_TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for path, (summary, answers) in _PROBES.items():
        responses = {status: {"description": text} for status, text in answers.items()}
        paths[path] = {"get": {"summary": summary, "responses": responses}}
    used = {route.ask.__name__ for route in ROUTES}
    components = {name: schema for name, schema in schemas.items() if name not in used}
    return {
        "openapi": "3.1.0",
        "info": {"title": "migrator", "version": version},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route[Any], schemas: dict[str, Any]) -> dict[str, Any]:
    properties = dict(schemas[route.ask.__name__].get("properties", {}))
    required = schemas[route.ask.__name__].get("required", [])
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": properties.pop(name)}
        for name in route.path_fields
    ]
    if route.method == "GET":
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in properties.items()
        ]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": parameters,
        "responses": _responses(route),
    }
    if route.has_body:
        body = {
            "type": "object",
            "properties": properties,
            "required": [name for name in required if name in properties],
            "additionalProperties": False,
        }
        operation["requestBody"] = {
            "required": not route.body_may_be_left_out,
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _responses(route: Route[Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _ref(route.reply.__name__)}}
    if route.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": _ref(ErrorDocument.__name__)}}
    return {
        str(route.status): {
            "description": "Accepted" if route.status == 202 else "OK",
            "content": content,
        },
        "4XX": {"description": "A coded no: nothing was changed", "content": error},
        "5XX": {"description": "It cannot be known or done now", "content": error},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(name=name)}
