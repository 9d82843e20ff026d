"""Every refusal's code is registered, and every registered code is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from migrator.errors import CODES
from tests.arch.source import modules, tree

RAISED = frozenset({"Refused", "Fenced", "Transient", "Broken", "MigratorError"})
FAMILIES = frozenset(code.partition(".")[0] for code in CODES)
LOOKS_LIKE_A_CODE = re.compile(r"[a-z]+\.[a-z_]+")

NO_CODES = frozenset({"disk.header_suspicious", "disk.base_changed"})
"""Texts that look like a code of one of our families and are none."""

RESERVED = {
    "request.conflict": "the same request id with another request; needs the stored request's digest",
}
"""Codes of the documented contract that nothing raises yet, each with the reason it is kept."""


def strings(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def said_codes(parsed: ast.Module) -> Iterator[str]:
    """First arguments of errors, second ones of refusals, and what is passed as ``code``."""
    for node in ast.walk(parsed):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in RAISED and node.args:
            yield from strings(node.args[0])
        if name == "Refusal" and len(node.args) > 1:
            yield from strings(node.args[1])
        for keyword in node.keywords:
            if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                yield from strings(keyword.value)


def everything_said() -> set[str]:
    return {
        text
        for name, path in modules().items()
        if name != "migrator.errors"
        for text in strings(tree(path))
    }


def test_only_registered_codes_are_raised() -> None:
    unknown = {name: set(said_codes(tree(path))) - set(CODES) for name, path in modules().items()}
    assert not {name: codes for name, codes in unknown.items() if codes}


def test_whatever_looks_like_a_code_is_one() -> None:
    alike = {
        text
        for text in everything_said()
        if LOOKS_LIKE_A_CODE.fullmatch(text) and text.partition(".")[0] in FAMILIES
    }
    assert not alike - set(CODES) - NO_CODES


def test_every_registered_code_is_used_or_reserved_with_a_reason() -> None:
    said = everything_said()
    assert {code for code in CODES if code not in said} <= set(RESERVED)
    assert not set(RESERVED) & said
    assert all(RESERVED.values())
