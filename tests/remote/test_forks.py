"""Processes that are forked after an object store was used."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest

from tests.servers import s3_server
from zarr_vectors.exceptions import StoreError
from zarr_vectors.types.points import read_points, write_points


def attempt(url: str, options: dict[str, Any], told: Any) -> None:
    try:
        read_points(url, **options)
    except StoreError as error:
        told.put(str(error))
    else:
        told.put("read")


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_told_to_be_spawned_instead_of_waiting_for_ever() -> None:
    with s3_server() as server:
        server.make_bucket("bucket")
        write_points("s3://bucket/s", np.zeros((3, 3)), **server.options)
        context = multiprocessing.get_context("fork")
        told = context.Queue()
        child = context.Process(target=attempt, args=("s3://bucket/s", server.options, told))
        child.start()
        try:
            assert "get_context('spawn')" in told.get(timeout=30)
        finally:
            child.kill()
            child.join()
