"""Fragments, objects and links of every kind follow from what remains."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.repair.stores import KINDS, assert_same, copy, make
from tests.validate.damage import Files
from zarr_vectors.repair import repair
from zarr_vectors.validate import validate

REVISIONS = ("0.7", "0.9")
ALL = frozenset(KINDS)
NOT_PATHS = frozenset(("graph", "skeleton", "mesh"))
NAMED = ALL - {"shared", "identity"}
"""Kinds whose fragments name their objects."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of good stores by kind and revision."""
    folder = tmp_path_factory.mktemp("good")
    for kind in KINDS:
        for revision in REVISIONS:
            make(folder / f"{kind}-{revision}", kind, revision)
    return folder


def biggest(files: Files, array: str) -> str:
    """Return the key of the largest cell of an array."""
    pattern = "*/c/0" if files.keyed else "c/*/*/*"
    path = max(sorted((files.root / array).glob(pattern)), key=lambda p: p.stat().st_size)
    if files.keyed:
        return path.parents[1].name
    return ".".join(path.parts[-3:])


def garble_fragments(files: Files) -> None:
    key = biggest(files, "0/vertex_fragments")
    files.put_cell("0/vertex_fragments", key, b"nonsense" + files.cell("0/vertex_fragments", key)[8:])


def lose_fragments(files: Files) -> None:
    shutil.rmtree(files.root / "0/vertex_fragments")


def cut_manifests(files: Files) -> None:
    path = files.root / "0/object_index/manifests/c/0"
    path.write_bytes(path.read_bytes()[:20])


def lose_manifests(files: Files) -> None:
    shutil.rmtree(files.root / "0/object_index/manifests")


def forget_fragment(files: Files) -> None:
    files.put_manifests(0, lambda lists: lists[0].pop(len(lists[0]) // 2))


def stray_crossing(files: Files) -> None:
    overwrite_last(files, "0/cross_chunk_links/0/data/c/0" if files.keyed else "0/links/0/*+1*/c/*/*/*")


def stray_parent(files: Files) -> None:
    overwrite_last(files, "0/links/+1/*/c/0" if files.keyed else "0/links/+1/*/c/*/*/*")


def overwrite_last(files: Files, pattern: str) -> None:
    """Give the last link of a cell a row that is not there."""
    path = min(files.root.glob(pattern))
    path.write_bytes(path.read_bytes()[:-8] + np.array([9999], "<i8").tobytes())


def misname_fragments(files: Files) -> None:
    key = biggest(files, "0/fragment_attributes/object_id")
    files.change_rows("0/fragment_attributes/object_id", key, "<i8", lambda ids: ids + 100)


REPAIRED: list[tuple[Callable[[Files], None], frozenset[str]]] = [
    (garble_fragments, NOT_PATHS),
    (lose_fragments, NOT_PATHS),
    (cut_manifests, NAMED),
    (lose_manifests, NAMED),
    (forget_fragment, NAMED),
    (stray_crossing, frozenset(("paths",))),
    (stray_parent, frozenset(("paths", "graph"))),
    (misname_fragments, NAMED),
]
LOST: list[tuple[Callable[[Files], None], frozenset[str]]] = [
    (garble_fragments, frozenset(("identity", "shared"))),
    (cut_manifests, frozenset(("shared",))),
    (lose_manifests, frozenset(("shared",))),
    (stray_crossing, frozenset(("graph", "mesh", "skeleton"))),
]


def cases(table: list[tuple[Callable[[Files], None], frozenset[str]]]) -> list[object]:
    return [
        pytest.param(damage, kind, revision, id=f"{damage.__name__}-{kind}-{revision}")
        for damage, kinds in table
        for kind in sorted(kinds)
        for revision in REVISIONS
    ]


@pytest.mark.parametrize(("damage", "kind", "revision"), cases(REPAIRED))
def test_made_anew(damage: Callable[[Files], None], kind: str, revision: str, good: Path, tmp_path: Path) -> None:
    root = copy(good / f"{kind}-{revision}", tmp_path / "store")
    damage(Files(root))
    assert not validate(root).is_valid
    report = repair(root)
    assert report.is_sound, report.summary()
    assert not report.dropped
    assert validate(root).is_valid
    assert_same(good / f"{kind}-{revision}", root)


@pytest.mark.parametrize(("damage", "kind", "revision"), cases(LOST))
def test_named_as_lost(damage: Callable[[Files], None], kind: str, revision: str, good: Path, tmp_path: Path) -> None:
    root = copy(good / f"{kind}-{revision}", tmp_path / "store")
    damage(Files(root))
    report = repair(root)
    assert not report.is_sound
    assert not report.dropped
    assert not report.deleted
    assert not validate(root).is_valid


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["mesh", "skeleton"])
def test_links_that_lead_nowhere_are_dropped_when_asked(kind: str, revision: str, good: Path, tmp_path: Path) -> None:
    root = copy(good / f"{kind}-{revision}", tmp_path / "store")
    stray_crossing(Files(root))
    report = repair(root, drop_damaged=True)
    assert [item.check for item in report.dropped] == ["link-endpoints"]
    assert "1 links" in report.dropped[0].message
    assert validate(root).is_valid


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", ["mesh", "skeleton", "repeating"])
def test_chunk_without_vertices_is_dropped_when_asked(kind: str, revision: str, good: Path, tmp_path: Path) -> None:
    root = copy(good / f"{kind}-{revision}", tmp_path / "store")
    files = Files(root)
    key = biggest(files, "0/vertices")
    files.cell_file("0/vertices", key).write_bytes(b"1234567")
    assert not repair(root).is_sound
    report = repair(root, drop_damaged=True)
    assert any(key in item.message for item in report.dropped)
    assert validate(root).is_valid, report.summary()
    assert key not in {".".join(map(str, chunk)) for chunk in files.reader().level(0).chunks.tolist()}
    assert repair(root, drop_damaged=True).found_nothing
