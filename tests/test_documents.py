"""Every example of the README and of ``docs/`` runs.

The ``python`` blocks of one document share a namespace and a temporary folder and run in order, together with
the ``$ zarr-vectors …`` lines of its ``console`` and ``bash`` blocks. A block that cannot run is preceded by
``<!-- skip: reason -->`` and listed as a skipped test. ``examples/`` is at hand in the folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

NEEDED = {"transactions": "icechunk"}
"""Optional packages that all examples of a document need."""

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>[\w+-]*)")
SKIP = re.compile(r"^ *<!--\s*skip:\s*(?P<reason>.*?)\s*-->\s*$")
COMMAND = re.compile(r"^\$ +(?P<command>zarr-vectors\b(?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, text, the line of the document it starts on, and why it cannot run."""

    document: Path
    language: str
    text: str
    line: int
    skip_reason: str | None

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks_of(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document in order."""
    lines = document.read_text(encoding="utf-8").splitlines()
    reason: str | None = None
    row = 0
    while row < len(lines):
        if skip := SKIP.match(lines[row]):
            reason = skip["reason"]
        elif fence := FENCE.match(lines[row]):
            closing = re.compile(rf"^ *{fence['fence']}`*\s*$")
            first = row = row + 1
            while not closing.match(lines[row]):
                row += 1
            text = textwrap.dedent("\n".join(lines[first:row])) + "\n"
            yield Block(document, fence["language"], text, first + 1, reason)
            reason = None
        elif lines[row].strip():
            reason = None
        row += 1


def commands_of(block: Block) -> list[str]:
    """Return the ``zarr-vectors`` commands of a shell block."""
    return [match["command"].replace("\\\n", " ") for match in COMMAND.finditer(block.text)]


def is_runnable(block: Block) -> bool:
    return block.language == "python" or (block.language in {"console", "bash"} and bool(commands_of(block)))


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document) if is_runnable(block)]
RUN = [block for block in BLOCKS if block.skip_reason is None]
SKIPPED = [block for block in BLOCKS if block.skip_reason is not None]


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block so that a traceback names the line of the document."""
    source = "\n" * (block.line - 1) + block.text
    exec(compile(source, str(block.document), "exec", dont_inherit=True), namespace)


def run_commands(block: Block) -> None:
    """Run the commands of a block; each must succeed."""
    programs = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join([programs, os.environ.get("PATH", "")])}
    for command in commands_of(block):
        done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block.name}: `{command}` exits with {done.returncode}\n{done.stderr}"


@pytest.mark.parametrize(
    "document", sorted({block.document for block in RUN}), ids=lambda path: str(path.relative_to(ROOT))
)
def test_examples_of_a_document_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if document.stem in NEEDED:
        pytest.importorskip(NEEDED[document.stem], reason=f"install zarr-vectors[{NEEDED[document.stem]}]")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in RUN:
        if block.document == document:
            if block.language == "python":
                run_python(block, namespace)
            else:
                run_commands(block)


if SKIPPED:

    @pytest.mark.parametrize("block", SKIPPED, ids=lambda block: block.name)
    def test_example_that_cannot_run_says_why(block: Block) -> None:
        assert block.skip_reason, f"{block.name}: <!-- skip: --> needs a reason"
        pytest.skip(f"{block.name}: {block.skip_reason}")


def test_blocks_are_found_with_their_language_line_and_reason(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(
        "# Title\n\n```python\na = 1\n```\n\n<!-- skip: needs a bucket -->\n\n```python\nb\n```\n"
        "- item\n  ```console\n  $ zarr-vectors info \\\n      store\n  fine\n  $ ls\n  ```\n"
    )
    first, second, third = blocks_of(document)
    assert (first.language, first.text, first.line, first.skip_reason) == ("python", "a = 1\n", 4, None)
    assert second.skip_reason == "needs a bucket"
    assert third.skip_reason is None
    assert commands_of(third) == ["zarr-vectors info      store"]


def test_failing_block_names_its_line(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("text\n\n```python\nvalue = 1\n1 / 0\n```\n")
    (block,) = blocks_of(document)
    with pytest.raises(ZeroDivisionError) as caught:
        run_python(block, {})
    assert caught.traceback[-1].lineno + 1 == 5


def test_relative_links_lead_somewhere() -> None:
    """Links between documents point to files that exist."""
    broken = []
    for document in [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8")):
            if not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)} -> {target}")
    assert broken == []


def test_every_document_is_listed() -> None:
    """``docs/index.md`` names every page below ``docs/``."""
    index = ROOT / "docs" / "index.md"
    listed = set(re.findall(r"\]\(([^)#\s]+\.md)", index.read_text(encoding="utf-8")))
    pages = {str(page.relative_to(index.parent)) for page in index.parent.rglob("*.md")} - {"index.md"}
    assert pages - listed == set()
