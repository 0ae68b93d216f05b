"""The rules of the house that a program can check (``CONTRIBUTING.md`` gives their reasons)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "zarr_vectors"
MODULES = sorted(SOURCE.rglob("*.py"))

MODULE_LINES = 700
FUNCTION_LINES = 60
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc"}

REVISION = re.compile(r"v?0\.[79](\.\d*)?")
MACHINE_PATH = re.compile(r"(?<![\w.~}>-])/(?:home|root|Users|work|opt)/\w")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef


def parse(source: str) -> ast.Module:
    """Parse a module, with every node knowing its parent."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node  # type: ignore[attr-defined]
    return tree


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield the name and the syntax tree of every module of the package."""
    for path in MODULES:
        yield str(path.relative_to(SOURCE)), parse(path.read_text(encoding="utf-8"))


def long_functions(tree: ast.Module, limit: int = FUNCTION_LINES) -> Iterator[str]:
    """Name functions that have more lines than the limit.

    The docstring is not counted, and the signature counts as one line: the formatter gives every parameter of a
    writer its own.
    """
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            lines -= max(0, first.lineno - node.lineno - 1)
            if ast.get_docstring(node, clean=False) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            if lines > limit:
                yield f"{node.name} (line {node.lineno}): {lines} lines"


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Name public classes, functions and methods without a docstring (overloads and setters need none)."""
    if ast.get_docstring(tree) is None:
        yield "the module"

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, Documented) and not node.name.startswith("_"):
                decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
                exempt = "overload" in decorators or any(name.endswith(".setter") for name in decorators)
                if ast.get_docstring(node) is None and not exempt:
                    yield f"{prefix}{node.name} (line {node.lineno})"
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, f"{prefix}{node.name}.")

    yield from walk(tree.body, "")


def _default_of_format_version(node: ast.Constant) -> bool:
    """Whether a constant is the default of a parameter or field called ``format_version``."""
    parent = node.parent  # type: ignore[attr-defined]
    if isinstance(parent, ast.AnnAssign):
        return isinstance(parent.target, ast.Name) and parent.target.id == "format_version"
    if not isinstance(parent, ast.arguments):
        return False
    positional = [*parent.posonlyargs, *parent.args]
    defaults = [
        *zip(positional[len(positional) - len(parent.defaults) :], parent.defaults, strict=True),
        *zip(parent.kwonlyargs, parent.kw_defaults, strict=True),
    ]
    return any(default is node and argument.arg == "format_version" for argument, default in defaults)


def revision_literals(tree: ast.Module) -> Iterator[str]:
    """Name string constants that are a revision of the format, but for the default of ``format_version``."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and REVISION.fullmatch(node.value)
            and not _default_of_format_version(node)
        ):
            yield f"{node.value!r} (line {node.lineno})"


def test_modules_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {str(path): count for path, count in lines.items() if count > MODULE_LINES} == {}


def test_functions_are_short() -> None:
    assert [f"{name}: {found}" for name, tree in modules() for found in long_functions(tree)] == []


def test_public_names_have_docstrings() -> None:
    assert [f"{name}: {found}" for name, tree in modules() for found in undocumented(tree)] == []


def test_modules_are_named_after_what_they_hold() -> None:
    vague = [
        str(path.relative_to(SOURCE))
        for path in MODULES
        for part in path.relative_to(SOURCE).with_suffix("").parts
        if VAGUE_NAMES & set(part.split("_"))
    ]
    assert vague == []


def test_revisions_are_known_to_formats_only() -> None:
    found = [
        f"{name}: {literal}"
        for name, tree in modules()
        if not name.startswith("formats/")
        for literal in revision_literals(tree)
    ]
    assert found == []


def test_no_path_of_one_machine() -> None:
    folders = ["src", "tests", "docs", "examples", "benchmarks", ".ci"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    texts = {".py", ".md", ".toml", ".cff", ".txt", ".json", ".yml", ".yaml", ""}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.suffix in texts and "__pycache__" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = '0.9.2'", ["'0.9.2' (line 1)"]),
        ("x = y == '0.7'", ["'0.7' (line 1)"]),
        ("x.startswith('0.9.')", ["'0.9.' (line 1)"]),
        ("def f(a, format_version='0.9'): ...", []),
        ("def f(a=1, *, b, format_version: str = '0.7'): ...", []),
        ("def f(a, revision='0.9'): ...", ["'0.9' (line 1)"]),
        ("class A:\n    format_version: str = '0.9'", []),
        ("'''0.9 is what we write.'''", []),
    ],
)
def test_revision_rule_finds_what_it_should(source: str, expected: list[str]) -> None:
    assert list(revision_literals(parse(source))) == expected


def test_length_rule_does_not_count_docstrings() -> None:
    tree = parse('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n')
    assert list(long_functions(tree, limit=3)) == []
    assert list(long_functions(tree, limit=2)) == ["f (line 1): 3 lines"]


def test_docstring_rule_sees_methods_and_passes_overloads() -> None:
    source = '"""M."""\nclass A:\n    """A."""\n    def m(self): ...\n    def _n(self): ...\n@overload\ndef f(): ...\n'
    assert list(undocumented(parse(source))) == ["A.m (line 4)"]
