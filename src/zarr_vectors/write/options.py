"""How a store is written: the arguments that every writer shares, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from zarr_vectors.encoding.compression import resolve_compressor
from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.formats.detection import DEFAULT_REVISION, revision_named
from zarr_vectors.formats.layout import LevelOptions
from zarr_vectors.formats.revision import Revision

WriteMode: TypeAlias = Literal["w", "w-", "a"]
OutOfBounds: TypeAlias = Literal["raise", "ignore", "expand"]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of arrays written so far and their total."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Checked options of a writer.

    Parameters
    ----------
    revision : Revision
        Format revision to write.
    layout : LevelOptions
        Compression, shards and checksums.
    mode : {"w", "w-", "a"}
        Replace, refuse what exists, or append.
    out_of_bounds : {"raise", "ignore", "expand"}
        What happens to vertices outside the bounds.
    progress : callable, optional
        Called with ``(done, total)``.
    revision_given : bool
        Whether the revision was asked for.
    """

    revision: Revision
    layout: LevelOptions
    mode: WriteMode
    out_of_bounds: OutOfBounds
    progress: Progress | None
    revision_given: bool = False

    @classmethod
    def parse(
        cls,
        *,
        format_version: str | None = None,
        compressor: Any = "auto",
        shard_shape: Any = "auto",
        checksum: bool = True,
        mode: str = "w",
        out_of_bounds: str = "raise",
        progress: Progress | None = None,
    ) -> WriteOptions:
        """Check the options that a user gave.

        Raises
        ------
        ArgumentError
            Naming the argument, what was given and what is accepted.
        """
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("mode", mode, get_args(WriteMode)),
            ("out_of_bounds", out_of_bounds, get_args(OutOfBounds)),
        )
        for argument, value, accepted in choices:
            if not isinstance(value, str) or value not in accepted:
                raise ArgumentError(f"{argument}: expected one of {', '.join(accepted)}, got {value!r}")
        if progress is not None and not callable(progress):
            raise ArgumentError(f"progress: expected a function of (done, total), got {progress!r}")
        if not isinstance(checksum, bool):
            raise ArgumentError(f"checksum: expected True or False, got {checksum!r}")
        resolve_compressor(compressor)
        revision = revision_named(DEFAULT_REVISION if format_version is None else format_version)
        if not revision.shards and shard_shape not in (None, "auto"):
            raise ArgumentError(
                f"shard_shape: revision {revision.name} has no shards, got {shard_shape!r}; "
                "leave it out or write a later format_version"
            )
        return cls(
            revision,
            LevelOptions(compressor, shard_shape, checksum=checksum),
            mode,  # type: ignore[arg-type]
            out_of_bounds,  # type: ignore[arg-type]
            progress,
            format_version is not None,
        )
