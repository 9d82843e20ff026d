"""Files stay small enough to be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.arch.source import PACKAGE, ROOT, TESTS, files, tree

MOST_LINES = 500
MOST_TEST_LINES = 700
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 7
"""Hard limits; the aims are 300, 40 and 5."""

LONGER: dict[str, str] = {}
WIDER = {
    ("migrator/inproc_driver.py", "send"): "the signature of oslo.messaging's drivers",
}
"""What may be longer or take more, each with the reason."""

REVISIONS = PACKAGE / "db" / "alembic" / "versions"
"""A schema revision is one list of tables, however long."""

EVERYTHING = (*files(PACKAGE), *files(TESTS))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def length(path: Path) -> int:
    return len(path.read_text().splitlines())


def limit(path: Path) -> int:
    return MOST_LINES if path.is_relative_to(PACKAGE) else MOST_TEST_LINES


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in files(PACKAGE):
        if not path.is_relative_to(REVISIONS):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.FunctionDef):
                    yield relative(path), node


def parameters(node: ast.FunctionDef) -> int:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([each for each in arguments if each.arg not in ("self", "cls")])


def test_files_are_short_enough_to_be_read() -> None:
    long = {relative(path): length(path) for path in EVERYTHING if length(path) > limit(path)}
    assert {name: lines for name, lines in long.items() if name not in LONGER} == {}


def test_functions_are_short_enough_to_be_read() -> None:
    long = [
        f"{path}: {node.name} has {lines} lines"
        for path, node in functions()
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_FUNCTION_LINES
    ]
    assert long == []


def test_functions_take_few_enough_parameters() -> None:
    wide = [
        f"{path}: {node.name} takes {parameters(node)}"
        for path, node in functions()
        if parameters(node) > MOST_PARAMETERS and (path, node.name) not in WIDER
    ]
    assert wide == []


def test_an_exception_that_is_no_longer_needed_is_removed() -> None:
    assert [name for name in LONGER if length(ROOT / name) <= limit(ROOT / name)] == []
    wide = {(path, node.name) for path, node in functions() if parameters(node) > MOST_PARAMETERS}
    assert set(WIDER) <= wide
    assert all([*LONGER.values(), *WIDER.values()])


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in EVERYTHING
        if path.read_text().strip() and not ast.get_docstring(tree(path))
    ]
    assert silent == []


def test_no_file_is_named_after_everything() -> None:
    vague = {"manager", "utils", "util", "helpers", "helper", "common", "misc"}
    assert [relative(path) for path in EVERYTHING if path.stem in vague] == []


def test_no_failure_is_swallowed_whole() -> None:
    """Passing over one named exception may be right; over whatever comes it never is."""
    swallowed = [
        f"{relative(path)}:{node.lineno}"
        for path in EVERYTHING
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(each, ast.Pass) for each in node.body)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert swallowed == []
