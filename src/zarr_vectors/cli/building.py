"""Commands that write: ``ingest``, ``pyramid``, ``migrate``, ``repair``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from zarr_vectors.cli.parsing import parse_aggregation, parse_factors, parse_names, parse_numbers
from zarr_vectors.cli.reporting import FAILED, Json, output, plain, print_json, progress_bar, readable_shape, reported
from zarr_vectors.cli.tables import make_level_table
from zarr_vectors.convert.las import ingest_las
from zarr_vectors.exceptions import ArgumentError, StoreExistsError
from zarr_vectors.formats.detection import DEFAULT_REVISION, REVISIONS
from zarr_vectors.migration import migrate as migrate_store
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.repair import repair as repair_store

LAS_SUFFIXES = (".las", ".laz")
Version = Annotated[str, typer.Option("--format-version", help=f"Format revision: {' or '.join(REVISIONS)}.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Compressor = Annotated[str, typer.Option("--compressor", help="auto, zstd, blosc, lz4, gzip, zstd:3, …, or none.")]
Checksum = Annotated[bool, typer.Option("--checksum/--no-checksum", help="Store checksums, which show damage.")]


@reported
def ingest(
    source: Annotated[Path, typer.Argument(help="A .las or .laz file.", show_default=False)],
    target: Annotated[str, typer.Argument(help="Path or URL of the store to make.", show_default=False)],
    chunk_shape: Annotated[
        str | None, typer.Option("--chunk-shape", help="Edge lengths, as 200 or 200,200,50.", show_default=False)
    ] = None,
    bin_shape: Annotated[
        str | None, typer.Option("--bin-shape", help="Edge lengths; must divide the chunks.", show_default=False)
    ] = None,
    attributes: Annotated[
        str | None, typer.Option("--attributes", help="Keep only these, as a,b,c.", show_default=False)
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="Type of the stored positions.")] = "float64",
    unit: Annotated[
        str | None, typer.Option("--unit", help="Unit of the axes, if not the file's.", show_default=False)
    ] = None,
    keep_order: Annotated[bool, typer.Option("--keep-order", help="Keep the order of the points too.")] = False,
    compressor: Compressor = "auto",
    checksum: Checksum = True,
    format_version: Version = DEFAULT_REVISION,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a store of a lidar file, with every dimension of its points."""
    if source.suffix.lower() not in LAS_SUFFIXES:
        raise ArgumentError(f"{source}: can be read if it ends in {' or '.join(LAS_SUFFIXES)}")
    with _naming_overwrite(target), progress_bar("Reading", "Writing") as (read_progress, progress):
        summary = ingest_las(
            source,
            target,
            chunk_shape=parse_numbers(chunk_shape, "--chunk-shape"),
            bin_shape=parse_numbers(bin_shape, "--bin-shape"),
            attributes=parse_names(attributes),
            dtype=dtype,
            axis_units=unit,
            keep_order=keep_order,
            compressor=_compressor(compressor),
            checksum=checksum,
            format_version=format_version,
            mode="w" if overwrite else "w-",
            read_progress=read_progress,
            progress=progress,
        )
    if as_json:
        print_json(summary)
    else:
        shapes = f"chunks of {readable_shape(summary.chunk_shape)}, bins of {readable_shape(summary.bin_shape)}"
        output().print(f"Wrote {summary.vertex_count:,} points in {summary.chunk_count:,} chunks: {shapes}")


@reported
def pyramid(
    store: Annotated[str, typer.Argument(help="Path or URL of a store.", show_default=False)],
    factor: Annotated[
        list[str] | None,
        typer.Option(
            "--factor",
            "-f",
            help="One per level, relative to level 0: 2, or 2,2,1, or 4:2 to keep one object in 2.  [default: two]",
            show_default=False,
        ),
    ] = None,
    aggregate: Annotated[
        list[str] | None,
        typer.Option(
            "--aggregate",
            "-a",
            help="mean, sum, min, max, mode or count for all attributes, or NAME=MODE for each.",
            show_default=False,
        ),
    ] = None,
    strategy: Annotated[
        str, typer.Option("--strategy", help="Objects that stay: random, spatial_coverage, size, attribute:NAME.")
    ] = "random",
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the choice.", show_default=False)] = None,
    links: Annotated[
        str | None,
        typer.Option("--links", help="Links across levels: none, implicit or explicit.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Build coarse levels."""
    with _naming_overwrite(f"a coarse level of {store}"), progress_bar("Levels") as (progress,):
        summary = build_pyramid(
            store,
            factors=parse_factors(factor) if factor else None,
            agg_mode=parse_aggregation(aggregate or []),
            sparsity_strategy=strategy,
            sparsity_seed=seed,
            cross_level_storage=links,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json(summary)
        return
    output().print(make_level_table([plain(level) for level in summary.levels]))


@reported
def migrate(
    source: Annotated[str, typer.Argument(help="Path or URL of the store to read.", show_default=False)],
    target: Annotated[str, typer.Argument(help="Path or URL of the store to write.", show_default=False)],
    format_version: Version = DEFAULT_REVISION,
    compressor: Compressor = "auto",
    overwrite: Overwrite = False,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Read back and compare.")] = True,
    as_json: Json = False,
) -> None:
    """Convert a store to another revision of the format, without loss."""
    with _naming_overwrite(target), progress_bar("Levels") as (progress,):
        summary = migrate_store(
            source,
            target,
            format_version=format_version,
            compressor=_compressor(compressor),
            overwrite=overwrite,
            verify=verify,
            progress=progress,
        )
    if as_json:
        print_json(summary)
        return
    checked = ", read back and compared" if summary.verified else ""
    output().print(
        f"Converted {len(summary.levels)} levels from revision {summary.source_version} to "
        f"{summary.target_version}: {summary.vertex_count:,} vertices{checked}. Written to {escape(target)}",
        soft_wrap=True,
    )


@reported
def repair(
    store: Annotated[str, typer.Argument(help="Path or URL of a store.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")] = False,
    drop_damaged: Annotated[
        bool, typer.Option("--drop-damaged", help="Take out what cannot be made anew from what remains.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Repair a damaged store; exit code 1 where something is still damaged."""
    report = repair_store(store, dry_run=dry_run, drop_damaged=drop_damaged)
    if as_json:
        print_json(report.to_dict())
    else:
        output().print(escape(report.summary()), soft_wrap=True)
    if not report.is_sound:
        raise typer.Exit(FAILED)


@contextmanager
def _naming_overwrite(what: str) -> Iterator[None]:
    """Refuse what exists in the words of the command."""
    try:
        yield
    except StoreExistsError as error:
        raise StoreExistsError(f"{what} exists already; pass --overwrite to replace it") from error


def _compressor(name: str) -> Any:
    return None if name.lower() == "none" else name
