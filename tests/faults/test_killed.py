"""Processes that are killed in the middle of changes, on the local file system and on an S3 server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import S3Server, s3_server
from zarr_vectors.testing import soak as soaking
from zarr_vectors.testing.crashes import BrokenPromiseError
from zarr_vectors.testing.scenarios import scenario_named, scenarios

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
ALL = list(scenarios())
SMALL = [scenario_named("edit: set groups, points, 0.9")]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


def test_folders() -> None:
    figures = soaking.soak(52, seed=1, chosen=ALL[::2])
    assert figures.broken == []
    assert figures.kills == 52
    assert sum(figures.outcomes.values()) == 52
    assert {"old", "new"} <= set(figures.outcomes)


def test_s3(server: S3Server) -> None:
    figures = soaking.soak(4, seed=2, url="s3://bucket/soak", options=server.options, chosen=SMALL)
    assert figures.broken == []
    assert sum(figures.outcomes.values()) == 4


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert soaking.main(["--kills", "2", "--only", "edit: set groups, points"]) == 0
    assert "2 kills in 2 scenarios" in capsys.readouterr().out

    def judge(*arguments: object, **options: object) -> str:
        raise BrokenPromiseError("a row is gone")

    monkeypatch.setattr(soaking.Trial, "judge", judge)
    assert soaking.main(["--kills", "1", "--only", "edit: set groups, points"]) == 1
    assert "promises broken: 1\n  a row is gone" in capsys.readouterr().out


def test_a_change_that_is_not_killed_counts_as_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking.Killer, "run", lambda *arguments: "done")
    figures = soaking.soak(1, chosen=[scenario_named("edit: set groups, points, 0.9")])
    assert "was not killed but done" in figures.broken[0]
