"""The stores of the format examples, each built once a test run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

Built = Callable[..., Path]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build an example in a revision, or give the store where that was done; tests do not change it."""
    folder = tmp_path_factory.mktemp("examples")

    @cache
    def build(name: str, revision: str, function: str = "build") -> Path:
        path = folder / f"{name}-{function}-{revision}.zarrvectors"
        getattr(importlib.import_module(f"examples.format.{name}"), function)(str(path), revision)
        return path

    return build
