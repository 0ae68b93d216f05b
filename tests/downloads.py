"""Real files out of packages of the registry, fetched when a test first needs them and never committed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / ".cache" / "data"


def files_of_wheel(wheel: str, wanted: Callable[[str], bool]) -> list[Path]:
    """Return files of a wheel, fetched once with pip into the cache folder of the checkout.

    Without the registry the test is skipped; on a machine of continuous integration it fails.

    Parameters
    ----------
    wheel : str
        The release, as ``"dipy==1.12.1"``.
    wanted : function
        Says of the name of a member whether it is to be kept.
    """
    folder = CACHE / wheel.replace("==", "-")
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _extract(_download(wheel, Path(scratch)), wanted, Path(scratch) / "files")
            try:
                (Path(scratch) / "files").rename(folder)
            except OSError:
                assert folder.exists()  # another worker was first
    return sorted(folder.iterdir())


def _download(wheel: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary=:all:", wheel]
    done = subprocess.run([*command, "-d", folder], capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        if os.environ.get("CI"):
            pytest.fail(f"pip download {wheel}: {done.stderr[-500:]}")
        pytest.skip(f"the package registry cannot be reached: {done.stderr.strip()[-200:]}")
    return found[0]


def _extract(wheel: Path, wanted: Callable[[str], bool], folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in filter(wanted, archive.namelist()):
            (folder / Path(name).name).write_bytes(archive.read(name))
