"""One RPC surface each: the table of methods, the Protocol, the client and the endpoint agree; agents
have no way to talk to each other."""

from __future__ import annotations

import ast
import importlib
import inspect
import typing
from collections.abc import Mapping, Sequence

import pytest

from migrator.compute_agent.rpcapi import AgentApi, AgentClient
from migrator.conductor import rpcapi
from migrator.conductor.rpcapi import ConductorClient
from migrator.messages import AGENT_METHODS, CONDUCTOR_METHODS, Method
from tests.arch.source import imports, modules, tree, within

AGENT_ENDPOINT = ("migrator.compute_agent.endpoint", "AgentEndpoint")
CONDUCTOR_ENDPOINT = ("migrator.conductor.endpoint", "ConductorEndpoint")


def public(cls: type) -> set[str]:
    members = inspect.getmembers(cls, inspect.isfunction)
    return {name for name, _ in members if not name.startswith("_")}


def shape(cls: type, method: str) -> tuple[object, object]:
    """(type of ``request``, type of what is returned)."""
    hints = typing.get_type_hints(getattr(cls, method))
    return hints["request"], hints["return"]


def assert_agrees(cls: type, methods: Sequence[Method]) -> None:
    assert public(cls) == {method.name for method in methods}
    for method in methods:
        request, reply = shape(cls, method.name)
        assert request is method.request, f"{cls.__name__}.{method.name}"
        # a notification answers nobody
        assert reply in (method.reply, type(None)), f"{cls.__name__}.{method.name}"


def endpoint(where: tuple[str, str]) -> type:
    module, name = where
    if module not in modules():
        pytest.skip(f"{module} does not exist yet")
    found: type = getattr(importlib.import_module(module), name)
    return found


@pytest.mark.parametrize("cls", [AgentApi, AgentClient])
def test_the_agents_protocol_and_client_offer_the_table_of_methods(cls: type) -> None:
    assert_agrees(cls, AGENT_METHODS)


def test_the_agents_endpoint_offers_the_table_of_methods() -> None:
    assert_agrees(endpoint(AGENT_ENDPOINT), AGENT_METHODS)


def test_the_conductors_client_offers_the_table_of_methods() -> None:
    assert_agrees(ConductorClient, CONDUCTOR_METHODS)


def test_the_conductors_endpoint_offers_the_table_of_methods() -> None:
    assert_agrees(endpoint(CONDUCTOR_ENDPOINT), CONDUCTOR_METHODS)


def test_the_conductors_protocols_share_the_table_between_them() -> None:
    """One for each kind of caller; every method is in exactly one."""
    protocols = [cls for name, cls in vars(rpcapi).items() if name.endswith("Api")]
    assert sorted(name for cls in protocols for name in public(cls)) == sorted(
        method.name for method in CONDUCTOR_METHODS
    )
    for cls in protocols:
        assert_agrees(cls, [each for each in CONDUCTOR_METHODS if each.name in public(cls)])


@pytest.mark.parametrize("methods", [AGENT_METHODS, CONDUCTOR_METHODS])
def test_a_method_is_named_once(methods: Sequence[Method]) -> None:
    names = [method.name for method in methods]
    assert len(set(names)) == len(names)


def agent_modules() -> Mapping[str, ast.Module]:
    return {
        name: tree(path)
        for name, path in modules().items()
        if within(name, "migrator.compute_agent") and not name.endswith(".rpcapi")
    }


def test_no_agent_module_knows_the_client_for_agents() -> None:
    for name, parsed in agent_modules().items():
        words = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name)}
        words |= {node.attr for node in ast.walk(parsed) if isinstance(node, ast.Attribute)}
        words |= {
            alias.name
            for node in ast.walk(parsed)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert "AgentClient" not in words, name


def test_no_agent_module_makes_an_rpc_client_of_its_own() -> None:
    for name, parsed in agent_modules().items():
        made = [
            node.lineno
            for node in ast.walk(parsed)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "client"
        ]
        assert not made, f"{name} makes an RPC client in lines {made}"


def test_only_conductors_and_entries_import_the_client_for_agents() -> None:
    allowed = ("migrator.conductor", "migrator.standalone", "migrator.status")
    users = [
        name
        for name, path in modules().items()
        if "migrator.compute_agent.rpcapi" in imports(path)
        and not any(within(name, each) for each in allowed)
    ]
    assert users == []
