"""Every rule's damage is repaired from what remains, or named with what is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.repair.stores import assert_same, contents
from tests.validate import test_damage as damaging
from tests.validate.conftest import good_stores  # noqa: F401
from tests.validate.damage import Files
from zarr_vectors.repair import RepairReport, repair
from zarr_vectors.validate import validate

LOST = {
    ("root-group", "text"), ("root-group", "foreign"), ("levels-present", "none"), ("root-metadata", "revision"),
    ("vertices-finite", "nan"), ("vertices-in-chunk", "moved"), ("bin-fragments", "moved"), ("category-codes", "code"),
    ("levels-ascending", "smaller"), ("chunk-multiples", "thrice"), ("metavertices", "other"), ("centroids", "moved"),
    ("aggregates", "mean"), ("aggregates", "count"), ("cells-readable", "truncated"),
}  # fmt: skip
"""Damage that nothing can be done about: what is lost is kept nowhere else."""

DROPPED = {
    ("arrays-present", "vertices"), ("multiscales-paths", "missing"), ("chunk-sets", "folder"),
    ("cells-readable", "groups"), ("attribute-rows", "fewer"), ("object-attribute-rows", "fewer"),
    ("group-attribute-rows", "fewer"), ("group-members", "stranger"), ("link-levels", "level"),
    ("link-endpoints", "cell"), ("link-endpoints", "blob"),
    ("axes", "repeated"), ("axes", "type"), ("axes", "unit"), ("axes", "few"),
}  # fmt: skip
"""Damage that is repaired only by dropping something; that of axes in revision 0.7 alone."""

HARMLESS = {"capabilities", "attribute-specs", "fresh", "fragments-cover", "texts-used"}
"""Rules whose findings are warnings that are not damage."""

DIFFERENT = {
    ("level-metadata", "absent"), ("level-group", "missing"), ("level-group", "text"), ("object-ids-sorted", "swapped"),
}  # fmt: skip
"""Damage after which the metadata says what is true in other words."""


@pytest.fixture(scope="module")
def good(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Folder of good stores by kind and revision."""
    folder: Path = request.getfixturevalue("good_stores")
    damaging.OTHERS["folder"] = folder
    yield folder
    damaging.OTHERS.clear()


def snapshot(root: Path) -> dict[str, bytes]:
    """Return every file of a store."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def dry(root: Path, **options: bool) -> RepairReport:
    """Make a dry run, which changes nothing."""
    before = snapshot(root)
    report = repair(root, dry_run=True, **options)
    assert snapshot(root) == before
    assert report.dry_run
    return report


def is_lost(check: str, what: str) -> bool:
    return (check, what) in LOST or check == "remade"


def is_dropped(check: str, what: str, revision: str) -> bool:
    return (check, what) in DROPPED and (check != "axes" or revision == "0.7")


CASES = [
    pytest.param(check, what, kind, damage, revision, id=f"{check}-{what}-{revision}")
    for check, what, kind, damage, revisions in damaging.CASES
    for revision in revisions
    if check not in HARMLESS
]


@pytest.mark.parametrize(("check", "what", "kind", "damage", "revision"), CASES)
def test_damage(
    check: str, what: str, kind: str, damage: Callable[[Files], object], revision: str, good: Path, tmp_path: Path
) -> None:
    source = good / f"{kind}-{revision}"
    root = tmp_path / source.name
    shutil.copytree(source, root)
    damage(Files(root))
    before = snapshot(root)
    report = dry(root)
    if is_lost(check, what) or is_dropped(check, what, revision):
        named = [item for item in report.items if item.check == check]
        assert named, report.summary()
        assert report.unrepairable
        assert not report.dropped
        if is_lost(check, what):
            return
        assert repair(root).unrepairable == report.unrepairable
        done = repair(root, drop_damaged=True)
        assert check in {item.check for item in done.dropped}, done.summary()
        assert {finding.check for finding in validate(root).errors} <= {"remade"}, done.summary()
        return
    assert check in {item.check for item in report.repaired}, report.summary()
    done = repair(root)
    assert (done.items, done.written, done.deleted) == (report.items, report.written, report.deleted)
    assert done.is_sound, done.summary()
    assert not done.dropped
    changed = {name for name, data in snapshot(root).items() if before.get(name) != data}
    assert changed == set(done.written)
    again = repair(root)
    assert again.found_nothing, again.summary()
    if (check, what) not in DIFFERENT:
        levels, others = contents(source)[1], contents(root)[1]
        assert sorted(levels) == sorted(others)
        assert_same(source, root, metadata=not check.startswith(("multiscales", "axes", "conventions", "inside")))


def test_a_sound_store_is_left_alone(good: Path, tmp_path: Path) -> None:
    for name in ("points-0.9", "objects-0.7"):
        shutil.copytree(good / name, tmp_path / name)
        before = snapshot(tmp_path / name)
        assert repair(tmp_path / name, drop_damaged=True).found_nothing
        assert snapshot(tmp_path / name) == before
