"""Fixtures that tests of several folders use, and how much Hypothesis tries."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.azurite import AzureServer, azurite, missing

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=20,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))

os.environ.setdefault("MPLBACKEND", "Agg")

MEMORY_FOLDER, ENOUGH_MEMORY = Path("/dev/shm"), 4 * 2**30
if MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free > ENOUGH_MEMORY:
    # Making the many small files of stores takes a tenth of the time in memory, so that most tests take half of it.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_FOLDER))


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """Interpreter whose environment holds the reference implementation, to be run as another program.

    It is named by ``ZARR_VECTORS_PEER_PYTHON``, or was put under ``.cache/peer`` by ``.ci/run``. Without one,
    the tests that need it are skipped on a user's machine and fail in continuous integration.
    """
    named = os.environ.get("ZARR_VECTORS_PEER_PYTHON")
    python = Path(named) if named else ROOT / ".cache" / "peer" / "bin" / "python"
    if not python.exists():
        if IN_CI or named:
            pytest.fail(f"no interpreter at {python}: set ZARR_VECTORS_PEER_PYTHON, or run .ci/run once")
        pytest.skip("set ZARR_VECTORS_PEER_PYTHON to a Python that has zarr-vectors 0.9.2 (.ci/run makes one)")
    code = "from importlib.metadata import version; print(version('zarr-vectors'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.anchor)
    assert found.stdout.strip() == "0.9.2", f"{python} has zarr-vectors {found.stdout.strip()}, not 0.9.2"
    return python


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """Azure's emulator, with an empty container ``bucket``.

    npm installed it into the folder that ``ZARR_VECTORS_AZURITE`` names, or ``.ci/run`` did into ``.cache/azurite``.
    Without it, the tests that need it are skipped on a user's machine and fail in continuous integration.
    """
    named = os.environ.get("ZARR_VECTORS_AZURITE")
    folder = Path(named) if named else ROOT / ".cache" / "azurite"
    lacking = missing(folder)
    if lacking and (IN_CI or named):
        pytest.fail(f"{lacking}: set ZARR_VECTORS_AZURITE, or run .ci/run once")
    if lacking:
        pytest.skip(f"{lacking}: npm install --prefix .cache/azurite azurite, or run .ci/run once")
    with azurite(folder, tmp_path_factory.mktemp("azurite") / "log") as server:
        server.make_container("bucket")
        yield server


@pytest.fixture(scope="session")
def stores_07(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of stores of revision 0.7 and of ``expected.npz``, the arrays they were written from.

    Its ``README.md`` says what is what. The folder is shared: a test that changes a store copies it first.
    """
    target = tmp_path_factory.mktemp("fixtures")
    with tarfile.open(Path(__file__).parent / "data" / "stores-0.7.tar.gz") as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(target, filter="data")
        else:
            archive.extractall(target)
    return target / "stores-0.7"
