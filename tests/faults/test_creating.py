"""Several processes that make a store where nothing is, at the same moment: what one of them was told is true."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.servers import s3_server
from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.read.store import StoreReader
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.port import Listing
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.validate import validate

PROCESSES, ROUNDS = 3, 4


def points_of(number: int) -> Any:
    return np.random.default_rng(number).uniform(0, 9, (20, 3)).astype(np.float32) + np.float32(10 * number)


def make_stores(
    number: int, places: list[str], mode: str, options: dict[str, Any], all_here: Barrier, told: Any
) -> None:
    """Make one store after another, each at the moment at which the others do."""
    for place in places:
        all_here.wait(60)
        try:
            write_points(place, points_of(number), mode=mode, bounds=([0] * 3, [99] * 3), **options)
        except ZarrVectorsError as error:
            told.put((place, number, type(error).__name__))
        else:
            told.put((place, number, ""))


def race(places: list[str], mode: str, **options: Any) -> dict[str, dict[int, str]]:
    """Return by place and process which error it was given, an empty text for none."""
    context = multiprocessing.get_context("spawn")
    all_here, told = context.Barrier(PROCESSES), context.Queue()
    workers = [
        context.Process(target=make_stores, args=(number, places, mode, options, all_here, told))
        for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    answers = [told.get(timeout=120) for _ in range(PROCESSES * len(places))]
    for worker in workers:
        worker.join()
    return {place: {number: error for where, number, error in answers if where == place} for place in places}


def hold_to(place: str, mode: str, answers: dict[int, str], **options: Any) -> None:
    acknowledged = [number for number, error in answers.items() if not error]
    assert acknowledged
    assert {error for error in answers.values() if error} <= {"StoreLockedError", "StoreExistsError"}
    found = {row.tobytes() for row in read_points(place, **options).positions}
    rows = {number: {row.tobytes() for row in points_of(number)} for number in acknowledged}
    if mode == "w":  # the last of them has replaced the others
        assert found in rows.values()
    else:
        assert found == set().union(*rows.values())
    assert mode != "w-" or len(acknowledged) == 1
    assert validate(place, level=5, **options).is_valid


@pytest.mark.parametrize("mode", ["a", "w-", "w"])
def test_in_a_folder(mode: str, tmp_path: Path) -> None:
    answers = race([str(tmp_path / f"{mode}-{number}.zv") for number in range(ROUNDS)], mode)
    for place, told in answers.items():
        hold_to(place, mode, told)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


class ComesWhenListed(LocalStorage):
    """A place that a store takes between the read of its root and the listing that says why there was none."""

    def list_folders(self, prefixes: Sequence[str]) -> list[Listing]:
        """Let the store come, then list."""
        if not self.exists("zarr.json"):
            self.root.rmdir()
            (self.root.parent / "made").rename(self.root)
        return super().list_folders(prefixes)


def test_a_store_that_comes_while_it_is_opened_is_opened(tmp_path: Path) -> None:
    write_points(tmp_path / "made", points_of(0))
    (tmp_path / "points.zv").mkdir()
    assert StoreReader.open(ComesWhenListed(tmp_path / "points.zv")).level_numbers() == [0]


def test_on_an_s3_server() -> None:
    with s3_server() as server:
        server.make_bucket("bucket")
        for mode in ("a", "w-"):
            places = [f"s3://bucket/{mode}-{number}" for number in range(2)]
            for place, told in race(places, mode, **server.options).items():
                hold_to(place, mode, told, **server.options)
