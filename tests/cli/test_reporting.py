"""Numbers, shapes and JSON as the commands print them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("typer")

from zarr_vectors.cli.app import parse_aggregation, parse_box, parse_factors, parse_names
from zarr_vectors.cli.reporting import plain, readable_bytes, readable_number, readable_shape


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_600, "1 MB"), (2_345_678, "2.35 MB")],
)
def test_bytes_are_readable(size: int | None, text: str) -> None:
    assert readable_bytes(size) == text


def test_numbers_and_shapes_are_readable() -> None:
    assert readable_number(1234567.0) == "1,234,567"
    assert readable_number(0.125) == "0.125"
    assert readable_number(1e20) == "1e+20"
    assert readable_shape((200.0, 12.5)) == "200 × 12.5"
    assert readable_shape(None) == "–"


def test_values_become_plain() -> None:
    value = {1: np.float32(1.5), "a": (np.int64(2), float("nan")), "b": np.array([[1, 2]]), "c": np.dtype("u1")}
    assert plain(value) == {"1": 1.5, "a": [2, None], "b": [[1, 2]], "c": "uint8"}


def test_arguments_are_parsed() -> None:
    assert parse_factors(["2", "2,2,1", "4:1.5"]) == [(2.0, 1.0), ((2.0, 2.0, 1.0), 1.0), (4.0, 1.5)]
    assert parse_aggregation([]) is None
    assert parse_aggregation(["mean"]) == "mean"
    assert parse_aggregation(["a=max", "b=min"]) == {"a": "max", "b": "min"}
    assert parse_box("0,0:1,2") == ([0.0, 0.0], [1.0, 2.0])
    assert parse_box("5:9") == ([5.0], [9.0])
    assert parse_names("a, b,") == ["a", "b"]
