"""What the architecture tests read: every module's text as a tree, and what it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "migrator"
TESTS = ROOT / "tests"


def files(directory: Path) -> list[Path]:
    """Every Python file below it."""
    return sorted(directory.rglob("*.py"))


def module_name(path: Path) -> str:
    """``migrator.db.engine`` for ``migrator/db/engine.py``; a package is named without __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    """The file, parsed once."""
    return ast.parse(path.read_text(), str(path))


@cache
def modules() -> Mapping[str, Path]:
    """Every module of migrator by its dotted name."""
    return {module_name(path): path for path in files(PACKAGE)}


def within(module: str, prefix: str) -> bool:
    """``prefix`` is the module, a package around it, or the beginning of its last name when it ends in
    ``*``."""
    if prefix.endswith("*"):
        return module.startswith(prefix[:-1])
    return module == prefix or module.startswith(f"{prefix}.")


def imports(path: Path) -> Iterator[str]:
    """Dotted names this file imports anywhere in it, relative ones resolved; ``from a import b``
    gives ``a.b`` when that is a module of ours, else ``a``."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path.parent / "_")
    package = package.removesuffix("._")
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules() else base


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    around = package.split(".")[: len(package.split(".")) - (node.level - 1)]
    return ".".join([*around, *([node.module] if node.module else [])])
