"""Processes that are killed in the middle of changes, on the local file system and on an S3 server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.servers import S3Server, s3_server
from zarr_vectors.testing import soak as soaking
from zarr_vectors.testing.crashes import BrokenPromiseError
from zarr_vectors.testing.scenarios import scenario_named, scenarios

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
ALL = list(scenarios())
ON_S3 = [
    scenario_named(name)
    for name in (
        "edit: set groups, points, 0.9",
        "write where nothing is, points, 0.9",
        "overwrite, lines, 0.9",
        "edit: add attribute, points, 0.7",
        "writer: two steps, points, 0.9",
    )
]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


def test_folders() -> None:
    figures = soaking.soak(80, seed=1, chosen=ALL[::2])
    assert figures.broken == []
    assert figures.kills == sum(figures.outcomes.values()) == 80
    assert {"old", "new"} <= set(figures.outcomes)


def test_s3(server: S3Server) -> None:
    figures = soaking.soak(20, seed=2, url="s3://bucket/soak", options=server.options, chosen=ON_S3)
    assert figures.broken == []
    assert figures.kills == sum(figures.outcomes.values()) == 20
    assert {"old", "new"} <= set(figures.outcomes)


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert soaking.main(["--kills", "2", "--only", "edit: set groups, points"]) == 0
    assert "2 kills or crashes in 2 scenarios" in capsys.readouterr().out

    def judge(*arguments: object, **options: object) -> str:
        raise BrokenPromiseError("a row is gone")

    monkeypatch.setattr(soaking.Trial, "judge", judge)
    assert soaking.main(["--kills", "1", "--only", "edit: set groups, points"]) == 1
    assert "promises broken: 1\n  a row is gone" in capsys.readouterr().out


def test_the_command_for_every_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert soaking.main(["--every", "--only", "edit: vacuum, points, 0.9"]) == 0
    said = re.match(r"(\d+) kills or crashes in 1 scenarios", capsys.readouterr().out)
    assert said is not None
    assert int(said[1]) > 20

    def judge(*arguments: object) -> str:
        raise BrokenPromiseError("a row is gone")

    monkeypatch.setattr(soaking.Trial, "judge_opened", judge)
    assert soaking.main(["--every", "--only", "edit: vacuum, points, 0.9"]) == 1
    assert f"promises broken: {said[1]}\n  at 1: a row is gone" in capsys.readouterr().out


def test_a_change_that_is_not_killed_counts_as_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking.Killer, "run", lambda *arguments: "done")
    figures = soaking.soak(1, chosen=[scenario_named("edit: set groups, points, 0.9")])
    assert "was not killed but done" in figures.broken[0]
