"""Imports point down, stay within their packages, and libraries have one home each."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.arch.layers import LAYERS, LIBRARIES, WAITING, Layer, layer_of, may_import, may_know
from tests.arch.source import ROOT, TESTS, files, imports, modules, tree, within

MODULES = sorted(modules())
STATES = "migrator.states"
OURS = [name for name in MODULES if name != "migrator"]


IMPORTS = {name: set(imports(path)) for name, path in modules().items()}
OFF_PORTS = [name for name in OURS if layer_of(name) not in (Layer.ADAPTERS, Layer.ENTRY)]
"""What may neither wait by itself nor look at a clock."""
PURE = [name for name in OURS if layer_of(name) in (Layer.WORDS, Layer.POLICY)]

IO_MODULES = frozenset(
    {"http", "io", "logging", "os", "pathlib", "shutil", "sqlite3", "ssl", "sys", "tempfile"}
)
IO_FUNCTIONS = frozenset({"open", "print", "input"})
CLOCKS_AND_DICE = frozenset(
    {"now", "utcnow", "today", "uuid1", "uuid4", "urandom", "environ", "getenv"}
)


def test_every_module_has_a_layer() -> None:
    lost = [name for name in OURS if layer_of(name) is None]
    assert lost == [], "give it a row in tests/arch/layers.py"


def test_imports_point_down() -> None:
    wrong = [
        f"{name} ({above.name}) imports {other}"
        for name in OURS
        for other in sorted(IMPORTS[name])
        if (above := layer_of(name)) is not None and not may_import(name, other)
    ]
    assert wrong == []


def test_packages_know_only_the_neighbours_they_are_given() -> None:
    wrong = [
        f"{name} imports {other}"
        for name in OURS
        for other in sorted(IMPORTS[name])
        if not may_know(name, other)
    ]
    assert wrong == []


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_is_imported_only_where_it_is_at_home(library: str) -> None:
    wrong = [
        name
        for name in MODULES
        if any(within(other, library) for other in IMPORTS[name])
        and not any(within(name, home) for home in LIBRARIES[library])
    ]
    assert wrong == []


def test_only_adapters_and_entries_wait_by_themselves() -> None:
    wrong = {
        name: used
        for name in OFF_PORTS
        if (used := {other.partition(".")[0] for other in IMPORTS[name]} & WAITING)
    }
    assert wrong == {}, "wait through migrator.ports"


def test_clocks_and_fresh_identities_come_through_ports() -> None:
    wrong = {
        name: used
        for name in OFF_PORTS
        if (used := attributes_of(name, {"datetime", "date", "uuid", "os"}) & CLOCKS_AND_DICE)
    }
    assert wrong == {}


def attributes_of(name: str, owners: set[str]) -> set[str]:
    """``now`` for ``datetime.now``, where ``datetime`` is one of ``owners``."""
    return {
        node.attr
        for node in ast.walk(tree(modules()[name]))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in owners
    }


def test_policy_and_words_do_no_input_or_output() -> None:
    imported = {
        name: used
        for name in PURE
        if (used := {other.partition(".")[0] for other in IMPORTS[name]} & IO_MODULES)
    }
    called = [
        f"{name}:{node.lineno}"
        for name in PURE
        for node in ast.walk(tree(modules()[name]))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in IO_FUNCTIONS
    ]
    assert imported == {}
    assert called == []


def test_every_row_of_the_layer_table_is_needed() -> None:
    """A row that says what its package says already is noise."""
    rows = [row for row in LAYERS if row != "migrator.scheduler.service"]
    useless = []
    for row in rows:
        others = [other for other in LAYERS if other != row and within(row.rstrip("*"), other)]
        around = max(others, key=len, default=None)
        if around is not None and LAYERS[around] is LAYERS[row]:
            useless.append(row)
    assert not useless


def test_nothing_below_migrator_loads_eventlet() -> None:
    """In a process of its own, where importing eventlet fails as if it were not installed."""
    names = [name for name in MODULES if not within(name, "migrator.db.alembic")]
    program = "\n".join(
        [
            "import importlib, sys",
            "sys.modules['eventlet'] = None",
            *(f"importlib.import_module({name!r})" for name in names),
            "assert sys.modules['eventlet'] is None",
            "print('clean')",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "clean", done.stderr


def test_tests_use_fakes_at_ports_instead_of_patches() -> None:
    patching = [
        str(path.relative_to(ROOT))
        for path in files(TESTS)
        if any(within(other, "unittest.mock") or within(other, "mock") for other in imports(path))
        or any(patches(node) for node in ast.walk(tree(path)))
    ]
    assert patching == []


def patches(node: ast.AST) -> bool:
    """pytest-mock's fixture, or pytest's own where it replaces attributes; variables it may set."""
    if isinstance(node, ast.arg):
        return node.arg == "mocker"
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("setattr", "setitem")
        and isinstance(node.value, ast.Name)
        and node.value.id == "monkeypatch"
    )


def test_the_state_of_a_migration_is_judged_in_the_database_layer_only() -> None:
    callers = [
        name for name in MODULES if "check_transition" in tree_names(name) and name != STATES
    ]
    assert [name for name in callers if not within(name, "migrator.db")] == []


def tree_names(name: str) -> set[str]:
    """Bare names a module uses."""
    return {node.id for node in ast.walk(tree(modules()[name])) if isinstance(node, ast.Name)}


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("migrator.conductor.domain_xml.render", "migrator.rpc"),
        ("migrator.conductor.domain_xml.render", "migrator.conductor.flow"),
        ("migrator.storage.plan", "migrator.storage.libvirt_pools"),
        ("migrator.storage.libvirt_pools", "migrator.storage.plan"),
        ("migrator.db.journal", "migrator.conductor.flow"),
        ("migrator.conductor.flow", "migrator.conductor.daemon"),
        ("migrator.errors", "migrator.threads"),
        ("migrator.model", "migrator.scheduler.select"),
    ],
)
def test_an_import_that_points_up_or_across_would_be_seen(module: str, imported: str) -> None:
    assert not may_import(module, imported)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("migrator.compute_agent.transfer", "migrator.db.journal"),
        ("migrator.compute_agent.transfer", "migrator.scheduler.select"),
        ("migrator.compute_agent.transfer", "migrator.conductor.flow"),
        ("migrator.compute_agent.transfer", "migrator.rpc"),
        ("migrator.conductor.flow", "migrator.db.journal"),
        ("migrator.conductor.flow", "migrator.compute_agent.transfer"),
        ("migrator.scheduler.select", "migrator.storage.tell"),
        ("migrator.cli.main", "migrator.conductor.rpcapi"),
        ("migrator.api.app", "migrator.db.engine"),
    ],
)
def test_a_neighbour_that_was_not_given_would_be_seen(module: str, imported: str) -> None:
    assert not may_know(module, imported)


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 20
    assert {Layer.WORDS, Layer.POLICY, Layer.ADAPTERS} <= {layer_of(name) for name in OURS}
