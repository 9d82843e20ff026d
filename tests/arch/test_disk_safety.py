"""Nothing lets a volume that a guest has written to decide what is opened.

libvirt's pools believe the header of a volume after each refresh, and act on it when a volume is
cloned or resized; QEMU's tools do when they are not told a format. So none of that is used here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.arch.source import modules, tree

FORBIDDEN = frozenset({"createXMLFrom", "resize", "blockResize", "storageVolLookupByKey"})
"""Calls that act on what a volume says of itself, or that nobody here needs."""
TOOLS = ("qemu-img", "qemu-nbd", "qemu-io")


def calls(parsed: ast.Module) -> Iterator[str]:
    for node in ast.walk(parsed):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def test_no_volume_is_cloned_or_resized_by_what_it_says_of_itself() -> None:
    used = {name: set(calls(tree(path))) & FORBIDDEN for name, path in modules().items()}
    assert not {name: found for name, found in used.items() if found}


def test_no_tool_of_qemus_is_run() -> None:
    """One that is needed one day gets one wrapper, which requires the format and limits the process."""
    named = {
        name
        for name, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and any(tool in node.value for tool in TOOLS)
    }
    assert named == set()


def test_what_a_pool_says_of_a_volume_is_not_read() -> None:
    """A volume's XML has its format, its capacity and its backing store, each the guest's word."""
    for name, path in modules().items():
        if not name.startswith("migrator.storage.libvirt_"):
            continue
        for node in ast.walk(tree(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr == "XMLDesc":
                assert isinstance(node.func.value, ast.Name)
                assert node.func.value.id in ("pool", "holder"), f"{name}:{node.lineno}"


def test_only_the_inspector_of_headers_knows_formats_by_their_bytes() -> None:
    users = {
        name
        for name, path in modules().items()
        if any("format_inspector" in word for word in _imported(tree(path)))
    }
    assert users == {"migrator.storage.headers"}


def _imported(parsed: ast.Module) -> Iterator[str]:
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.name for alias in node.names)
