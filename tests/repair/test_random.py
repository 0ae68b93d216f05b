"""Whatever happens to the bytes of a store, a repair ends in a sound store or says what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.repair.stores import make
from tests.validate.conftest import make as make_points
from zarr_vectors.exceptions import StoreNotFoundError
from zarr_vectors.repair import repair
from zarr_vectors.validate import validate

REVISIONS = ("0.7", "0.9")
KINDS = ("points", "objects", "paths", "graph")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of good stores by kind and revision."""
    folder = tmp_path_factory.mktemp("good")
    for revision in REVISIONS:
        make_points(folder / f"points-{revision}", revision, objects=False)
        make_points(folder / f"objects-{revision}", revision, objects=True)
        make(folder / f"paths-{revision}", "paths", revision)
        make(folder / f"graph-{revision}", "graph", revision)
    return folder


def wreck(root: Path, rng: np.random.Generator) -> str:
    """Flip bytes of an object, cut it short or delete it; return what was done."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path != root / "zarr.json")
    path = files[rng.integers(len(files))]
    way = ("flip", "cut", "delete")[rng.integers(3)]
    data = bytearray(path.read_bytes())
    if way == "delete" or not data:
        path.unlink()
    elif way == "cut":
        path.write_bytes(bytes(data[: rng.integers(len(data))]))
    else:
        for place in rng.integers(len(data), size=rng.integers(1, 4)).tolist():
            data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
    return f"{way} {path.relative_to(root)}"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_wrecked_stores(kind: str, revision: str, seed: int, good: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, KINDS.index(kind), REVISIONS.index(revision)])
    root = tmp_path / "store"
    shutil.copytree(good / f"{kind}-{revision}", root)
    done = [wreck(root, rng) for _ in range(rng.integers(1, 3))]
    check(root, drop=bool(seed % 2), done=done)


def check(root: Path, *, drop: bool, done: list[str]) -> None:
    """Repair a store; what validation still finds, the report has said."""
    report = repair(root, drop_damaged=drop)
    after = validate(root)
    assert report.is_sound == after.is_valid, (done, report.summary(), after.summary())
    said = {item.check for item in report.unrepairable}
    assert {finding.check for finding in after.errors} <= said, (done, report.summary(), after.summary())
    again = repair(root, drop_damaged=drop)
    assert not again.written, (done, again.summary())
    assert not again.repaired, (done, again.summary())


def test_no_root(good: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(good / "points-0.9", root)
    (root / "zarr.json").unlink()
    with pytest.raises(StoreNotFoundError, match=r"no zarr\.json"):
        repair(root)
    assert not (root / ".zv-lock").exists()
