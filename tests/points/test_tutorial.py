"""The published tutorial on point clouds, its code top to bottom, given the arrays that it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_tutorial(capsys: pytest.CaptureFixture[str]) -> None:  # noqa: PLR0915 - one page, one script
    # Minimal write
    from zarr_vectors.types.points import write_points  # noqa: PLC0415 - as the tutorial has it

    rng = np.random.default_rng(42)
    positions = rng.uniform(0, 1000, (100_000, 3)).astype(np.float32)
    summary = write_points(
        "scan.zarrvectors",
        positions,
        chunk_shape=(200.0, 200.0, 200.0),
        bin_shape=(50.0, 50.0, 50.0),
    )
    assert (summary.vertex_count, summary.chunk_count) == (100_000, 125)

    # Write with per-vertex attributes
    rng = np.random.default_rng(42)
    n = 100_000
    positions = rng.uniform(0, 1000, (n, 3)).astype(np.float32)
    intensity = rng.uniform(0, 1, n).astype(np.float32)
    label = rng.integers(0, 8, n).astype(np.int32)
    rgb = rng.integers(0, 256, (n, 3)).astype(np.uint8)
    confidence = rng.uniform(0.5, 1, n).astype(np.float32)
    write_points(
        "scan.zarrvectors",
        positions,
        chunk_shape=(200.0, 200.0, 200.0),
        bin_shape=(50.0, 50.0, 50.0),
        attributes={
            "intensity": intensity,
            "label": label,
            "color": rgb,
            "confidence": confidence,
        },
        coordinate_system="RAS",
        axis_units="micrometer",
    )

    # Choosing chunk_shape and bin_shape
    positions_10M = rng.uniform(0, 4000, (20_000, 3)).astype(np.float32)
    total_vertices = 10_000_000
    volume = 4000**3
    chunk_volume = 500**3
    expected_per_chunk = total_vertices * chunk_volume / volume
    assert 7_812 < expected_per_chunk < 19_532
    write_points(
        "large_scan.zarrvectors",
        positions_10M,
        chunk_shape=(500.0, 500.0, 500.0),
        bin_shape=(125.0, 125.0, 125.0),
    )

    # Read all data
    from zarr_vectors.types.points import read_points  # noqa: PLC0415

    result = read_points("scan.zarrvectors")
    print(result["vertex_count"])
    print(result["positions"].shape)
    print(result["attributes"]["intensity"].shape)
    print(result["attributes"]["label"].dtype)
    print(result["attributes"]["color"].shape)
    printed = ["100000", "(100000, 3)", "(100000,)", "int32", "(100000, 3)"]
    assert capsys.readouterr().out.splitlines() == printed

    # Read a subset of attributes
    result = read_points(
        "scan.zarrvectors",
        attributes=["intensity"],
    )
    assert "label" not in result["attributes"]

    # Spatial bounding-box queries
    lo = np.array([100.0, 100.0, 100.0])
    hi = np.array([200.0, 200.0, 200.0])
    result = read_points(
        "scan.zarrvectors",
        bbox=(lo, hi),
    )
    print(result["vertex_count"])
    print(result["positions"].min(axis=0))
    print(result["positions"].max(axis=0))
    assert 60 < result["vertex_count"] < 150
    assert result["vertex_count"] == ((positions >= lo) & (positions < hi)).all(axis=1).sum()
    assert (result["positions"].min(axis=0) >= lo).all()
    assert (result["positions"].max(axis=0) < hi).all()

    # Building a pyramid
    from zarr_vectors.multiresolution.coarsen import build_pyramid  # noqa: PLC0415

    build_pyramid(
        "scan.zarrvectors",
        factors=[(2.0, 1.00), (4.0, 1.00)],
        agg_mode="mean",
    )

    # Read a specific level
    coarse = read_points("scan.zarrvectors", level=1)
    print(coarse["vertex_count"])
    print(coarse["level"])
    assert coarse["level"] == 1
    assert coarse["vertex_count"] == len(np.unique(positions // 100, axis=0))

    # Combining bbox and level
    overview = read_points("scan.zarrvectors", level=2)
    detail = read_points(
        "scan.zarrvectors",
        level=0,
        bbox=(np.array([400.0, 400.0, 400.0]), np.array([600.0, 600.0, 600.0])),
    )
    assert overview["vertex_count"] == 125
    assert 600 < detail["vertex_count"] < 1000

    # Anisotropic pyramids
    write_points(
        "aniso.zarrvectors",
        positions[:10_000] * np.array([1, 1, 6], np.float32),
        chunk_shape=(200.0, 200.0, 1200.0),
        bin_shape=(50.0, 50.0, 300.0),
    )
    build_pyramid(
        "aniso.zarrvectors",
        factors=[(2.0, 1.00), (4.0, 1.00)],
    )
    counts = [read_points("aniso.zarrvectors", level=level)["vertex_count"] for level in range(3)]
    assert counts[0] > counts[1] > counts[2] > 0

    # Common pitfalls
    with pytest.raises(ValueError, match=r"200.*60"):
        write_points("bad.zarrvectors", positions, chunk_shape=(200.0, 200.0, 200.0), bin_shape=(60.0, 60.0, 60.0))
    assert not Path("bad.zarrvectors").exists()
    positions_f64 = rng.uniform(0, 1e6, (1000, 3))
    write_points("precise.zarrvectors", positions_f64, chunk_shape=(200.0, 200.0, 200.0), dtype=np.float64)
    precise = read_points("precise.zarrvectors")["positions"]
    assert precise.dtype == np.float64
    np.testing.assert_array_equal(precise[np.lexsort(precise.T)], positions_f64[np.lexsort(positions_f64.T)])


def test_validation_of_the_tutorial() -> None:
    from zarr_vectors.multiresolution.coarsen import build_pyramid  # noqa: PLC0415
    from zarr_vectors.types.points import write_points  # noqa: PLC0415
    from zarr_vectors.validate import validate  # noqa: PLC0415

    positions = np.random.default_rng(42).uniform(0, 1000, (20_000, 3)).astype(np.float32)
    write_points("scan.zarrvectors", positions, chunk_shape=(200.0, 200.0, 200.0), bin_shape=(50.0, 50.0, 50.0))
    build_pyramid("scan.zarrvectors", factors=[(2.0, 1.00), (4.0, 1.00)], agg_mode="mean")
    result = validate("scan.zarrvectors", level=5)
    assert result.summary().startswith("Level 5 validation: PASS")
    assert "0 warnings, 0 errors" in result.summary()
