"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.exceptions import MissingExtraError
from zarr_vectors.types.points import read_points, write_points

typer = pytest.importorskip("typer")
testing = pytest.importorskip("typer.testing")

from zarr_vectors import cli  # noqa: E402 - typer is an extra
from zarr_vectors.cli.app import app  # noqa: E402

AUTZEN = Path(__file__).parents[2] / "examples" / "data" / "autzen_trim.laz"


def run(*arguments: Any) -> Any:
    return testing.CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_json(*arguments: Any) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    n = 4000
    path = tmp_path / "cells.zarrvectors"
    write_points(
        path,
        rng.uniform(0, 100, (n, 3)),
        chunk_shape=50,
        bin_shape=12.5,
        attributes={
            "signal": rng.normal(size=n).astype(np.float32),
            "color": rng.integers(0, 255, (n, 3)).astype(np.uint8),
            "kind": np.array(["soma", "axon"])[rng.integers(0, 2, n)],
        },
        attribute_specs={
            "signal": {"unit": "volt", "description": "Peak"},
            "color": {"channel_names": ("r", "g", "b")},
        },
        object_ids=rng.integers(0, 20, n),
        object_attributes={"age": np.arange(20.0)},
        groups={"young": [0, 1], "old": [18, 19]},
        axis_units="micrometer",
        crs={"name": "Template", "epsg": 4978},
    )
    return path


def test_info_says_what_the_store_holds(store: Path) -> None:
    described = run_json("info", store)
    assert described["geometry_types"] == ["point_cloud"]
    assert described["dimensions"] == 3
    assert described["axes"][0] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert described["chunk_shape"] == [50, 50, 50]
    assert described["bins_per_chunk"] == 64
    assert (described["object_count"], described["group_count"]) == (20, 2)
    by_name = {(a["scope"], a["name"]): a for a in described["attributes"]}
    assert by_name["vertex", "signal"]["unit"] == "volt"
    assert by_name["vertex", "signal"]["dtype"] == "float32"
    assert by_name["vertex", "color"]["channels"] == ["r", "g", "b"]
    assert by_name["vertex", "kind"]["categories"] == 2
    assert by_name["object", "age"]["dtype"] == "float64"
    (level,) = described["levels"]
    assert (level["vertex_count"], level["chunk_count"], level["object_count"]) == (4000, 8, 20)
    files = [path for path in store.rglob("*") if path.is_file()]
    assert described["files"] == len(files)
    assert described["bytes"] == sum(path.stat().st_size for path in files)
    assert level["files"] == len([path for path in (store / "0").rglob("*") if path.is_file()])


def test_attribute_in_the_chunk_keys_is_shown_like_any_other(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    gene = np.array(["Actb", "Gad1"])[np.arange(50) % 2]
    described = {"gene": {"unit": "volt", "description": "Which"}}
    path, places = tmp_path / "a", np.random.default_rng(0).uniform(0, 9, (50, 3))
    write_points(path, places, attributes={"gene": gene}, chunk_by_attribute="gene", attribute_specs=described)
    (shown,) = run_json("info", path)["attributes"]
    assert (shown["scope"], shown["name"], shown["categories"]) == ("vertex", "gene", 2)
    assert (shown["unit"], shown["description"]) == ("volt", "Which")
    drawn = run("plot", path, tmp_path / "a.png", "--color-by", "gene")
    assert drawn.exit_code == 0, drawn.output


def test_info_is_readable(store: Path) -> None:
    text = run("info", store).stdout
    for part in (
        "x (micrometer), y (micrometer), z (micrometer)",
        "50 × 50 × 50",
        "12.5 × 12.5 × 12.5 (64 bins a chunk)",
        "Template, EPSG:4978",
        "r, g, b",
        "2 categories",
        "Peak",
        "4,000",
    ):
        assert part in text


def test_store_in_memory_and_plain_zarr_stores_have_sizes_or_none(store: Path) -> None:
    write_points("memory://cli-sizes", np.random.default_rng(0).uniform(0, 9, (50, 3)))
    described = run_json("info", "memory://cli-sizes")
    assert described["bytes"] > 0
    assert described["files"] == sum(level["files"] for level in described["levels"]) + 1


@pytest.mark.parametrize("version", ["0.9", "0.7"])
def test_ls_lists_every_array(store: Path, tmp_path: Path, version: str) -> None:
    other = tmp_path / "other"
    run_json("migrate", store, other, "--format-version", version)
    run_json("pyramid", other, "-f", "2", "--links", "implicit")
    arrays = {array["path"]: array for array in run_json("ls", other)["arrays"]}
    assert arrays["0/vertices"]["rows"] == 4000
    assert arrays["0/vertices"]["channels"] == 3
    assert arrays["0/vertex_attributes/color"]["channels"] == 3
    assert arrays["0/object_attributes/age"]["rows"] == 20
    assert arrays["0/groups"]["rows"] == 2
    assert arrays["0/links/+1"]["bytes"] > 0
    assert arrays["1/vertices"]["rows"] < 4000
    assert all(array["files"] > 0 for array in arrays.values())
    folders = {str(p.relative_to(other)) for p in other.glob("*/*") if p.is_dir()}
    covered = {"/".join(path.split("/")[:2]) for path in arrays}
    assert folders == covered
    only = run_json("ls", other, "--level", "1")["arrays"]
    assert {array["level"] for array in only} == {1}
    assert "0/vertices" in run("ls", other).stdout


def test_pyramid_builds_levels_with_asked_factors_and_modes(store: Path) -> None:
    summary = run_json("pyramid", store, "-f", "2,2,1", "-f", "4:2", "-a", "signal=max", "-a", "merged=count")
    assert [level["bin_ratio"] for level in summary["levels"]] == [[2, 2, 1], [4, 4, 4]]
    levels = run_json("info", store)["levels"]
    assert [level["vertex_count"] for level in levels][1:] == [lv["vertex_count"] for lv in summary["levels"]]
    assert levels[2]["object_count"] == 10
    assert read_points(store, level=1).attributes["merged"].sum() == 4000
    refused = run("pyramid", store)
    assert refused.exit_code == 1
    assert "pass --overwrite" in refused.stderr
    again = run("pyramid", store, "--overwrite", "-f", "4")
    assert again.exit_code == 0
    assert "4 × 4 × 4" in again.stdout
    assert len(run_json("info", store)["levels"]) == 2


def test_migrate_converts_and_refuses_to_replace(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "old"
    summary = run_json("migrate", store, target, "--format-version", "0.7", "--compressor", "none")
    assert (summary["source_version"], summary["target_version"], summary["verified"]) == ("0.9", "0.7", True)
    assert run_json("info", target)["format_version"] == "0.7"
    assert np.array_equal(read_points(target).positions, read_points(store).positions)
    refused = run("migrate", store, target)
    assert refused.exit_code == 1
    assert refused.stderr == f"error: {target} exists already; pass --overwrite to replace it\n"
    assert "read back and compared" in run("migrate", store, target, "--overwrite").stdout


def test_validate_passes_and_fails_with_exit_codes(store: Path) -> None:
    passed = run("validate", store)
    assert passed.exit_code == 0
    assert "Level 5 validation: PASS" in passed.stdout
    assert "outcome" in run("validate", store, "-v").stdout
    next(path for path in (store / "0" / "vertices" / "c").rglob("*") if path.is_file()).unlink()
    failed = run("validate", store, "--level", "3")
    assert failed.exit_code == 1
    assert "Level 3 validation: FAIL" in failed.stdout
    document = json.loads(run("validate", store, "--json").stdout)
    assert document["is_valid"] is False
    assert document["errors"]


def test_ingest_makes_a_store_of_a_lidar_file(tmp_path: Path) -> None:
    target = tmp_path / "autzen"
    summary = run_json(
        "ingest", AUTZEN, target, "--chunk-shape", "300", "--bin-shape", "75,75,150", "--unit", "foot", "--keep-order"
    )
    assert summary["vertex_count"] == 110_000
    described = run_json("info", target)
    assert described["bin_shape"] == [75, 75, 150]
    assert described["position_dtype"] == "float64"
    assert [axis["unit"] for axis in described["axes"]] == ["foot"] * 3
    assert "original_index" in {attribute["name"] for attribute in described["attributes"]}
    assert run("ingest", AUTZEN, target).exit_code == 1
    text = run("ingest", AUTZEN, target, "--overwrite", "--attributes", "intensity,color").stdout
    assert "Wrote 110,000 points" in text
    assert len(run_json("info", target)["attributes"]) == 2


def test_plot_draws_a_picture(store: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "cells.png"
    drawn = run("plot", store, picture, "--color-by", "signal", "--plane", "x,z", "--bbox", "0,0,0:50,50,50")
    assert drawn.exit_code == 0
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "{missing}"], 1, "no store is there"),
        (["info", "odd://host/store"], 1, "odd"),
        (["ls", "{store}", "--level", "7"], 1, "no level 7"),
        (["pyramid", "{store}", "-f", "0.5"], 2, "whole numbers"),
        (["pyramid", "{store}", "-f", "two"], 2, "'two'"),
        (["pyramid", "{store}", "-f", "2:1,1"], 2, "BINS:OBJECTS"),
        (["pyramid", "{store}", "-a", "mean", "-a", "signal=max"], 2, "NAME=MODE"),
        (["validate", "{store}", "--level", "9"], 2, "equal to 5"),
        (["migrate", "{store}", "{missing}", "--format-version", "3"], 2, "format_version"),
        (["ingest", "{store}", "{missing}"], 2, ".laz"),
        (["ingest", "{missing}.las", "{missing}"], 1, "no such file"),
        (["plot", "{store}", "{missing}.png", "--bbox", "1,2,3"], 2, "LOWER:UPPER"),
        (["info"], 2, ""),
        (["fly"], 2, "fly"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(
    store: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    filled = [argument.format(store=store, missing=tmp_path / "missing") for argument in arguments]
    result = run(*filled)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    if result.stderr.startswith("error:"):
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "missing").exists()


def test_errors_and_warnings_are_readable_by_programs(tmp_path: Path) -> None:
    result = run("info", tmp_path / "missing", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["type"] == "StoreNotFoundError"
    warned = run("ingest", AUTZEN, tmp_path / "store", "--dtype", "float32", "--bin-shape", "8", "--json")
    assert warned.exit_code == 0
    assert warned.stderr.startswith("warning: ")
    assert json.loads(warned.stdout)["vertex_count"] == 110_000


def test_version_names_the_revisions() -> None:
    assert run("--version").stdout.startswith("zarr-vectors ")


def test_installed_command_runs(store: Path) -> None:
    program = Path(sys.executable).parent / "zarr-vectors"
    done = subprocess.run([program, "info", store], capture_output=True, text=True, check=True)
    assert "point_cloud" in done.stdout
    assert done.stderr == ""


def test_missing_typer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str, extra: str, purpose: str) -> Any:
        raise MissingExtraError(f"{purpose} need {module}: zarr-vectors[{extra}]")

    monkeypatch.setattr(cli, "require", absent)
    with pytest.raises(SystemExit, match=r"error: commands need typer: zarr-vectors\[cli\]"):
        cli.main()
