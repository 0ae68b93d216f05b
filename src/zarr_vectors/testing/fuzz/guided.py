"""A run guided by coverage: atheris chooses the bytes by what they reach in the code (extra ``fuzz``)."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

from zarr_vectors.extras import require

_INSTRUMENTED = (
    "zarr_vectors.encoding",
    "zarr_vectors.formats",
    "zarr_vectors.model",
    "zarr_vectors.storage.dense",
    "zarr_vectors.storage.documents",
)


def run_guided(seconds: float, seed: int, corpus: str | None = None) -> None:
    """Decode what atheris makes of valid payloads, until a fault or the end of the time; then the process ends.

    Parameters
    ----------
    seconds : float
        How long.
    seed : int
        Of the choices.
    corpus : str, optional
        Folder that keeps inputs which reached something new, and that the next run starts from.

    Raises
    ------
    MissingExtraError
        When atheris is not installed.
    """
    atheris: Any = require("atheris", "fuzz", "the guided run")
    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        decoders = importlib.import_module("zarr_vectors.testing.fuzz.decoders").DECODERS
        running = importlib.import_module("zarr_vectors.testing.fuzz.running")
    names = sorted(decoders)
    folder = Path(corpus or tempfile.mkdtemp(prefix="zarr-vectors-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        for place, data in enumerate(decoders[name][1]):
            (folder / f"{number}-{place}").write_bytes(bytes([number]) + data)
    campaign = running.Campaign(seed)

    def one(data: bytes) -> None:
        name = names[data[0] % len(names)] if data else names[0]
        campaign.payload(name, data[1:], decoders[name][0])
        if campaign.faults:
            raise RuntimeError(campaign.summary())

    options = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", "-max_len=4096", "-rss_limit_mb=4096"]
    atheris.Setup(["fuzz", *options, str(folder)], one)
    atheris.Fuzz()
