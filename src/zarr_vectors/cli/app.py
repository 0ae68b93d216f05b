"""The commands: what users type, given to the functions of the package, and what these return printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import zarr_vectors
from zarr_vectors.cli.describing import (
    describe_store,
    list_arrays,
    make_level_table,
    make_table,
    print_arrays,
    print_store,
)
from zarr_vectors.cli.reporting import FAILED, Json, output, plain, print_json, progress_bar, readable_shape, reported
from zarr_vectors.convert.las import ingest_las
from zarr_vectors.exceptions import ArgumentError, StoreExistsError
from zarr_vectors.formats.detection import DEFAULT_REVISION, REVISIONS
from zarr_vectors.migration import migrate as migrate_store
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.rechunking.running import MEMORY_BUDGET
from zarr_vectors.rechunking.running import rechunk as rechunk_store
from zarr_vectors.rechunking.spec import RechunkSpec
from zarr_vectors.repair import repair as repair_store
from zarr_vectors.validate import validate as validate_store
from zarr_vectors.view.plots import plot_points

Store = Annotated[str, typer.Argument(help="Path or URL of a store.", show_default=False)]
SEVERITY_COLORS = {"error": "red", "warning": "yellow", "note": "dim"}
LAS_SUFFIXES = (".las", ".laz")
Version = Annotated[str, typer.Option("--format-version", help=f"Format revision: {' or '.join(REVISIONS)}.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Compressor = Annotated[str, typer.Option("--compressor", help="auto, zstd, blosc, lz4, gzip, zstd:3, …, or none.")]
Checksum = Annotated[bool, typer.Option("--checksum/--no-checksum", help="Store checksums, which show damage.")]
ChunkShape = Annotated[
    str | None, typer.Option("--chunk-shape", help="Edge lengths, as 200 or 200,200,50.", show_default=False)
]
BinShape = Annotated[
    str | None, typer.Option("--bin-shape", help="Edge lengths; must divide the chunks.", show_default=False)
]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Read back and compare.")]
_MEGABYTE = 1 << 20

app = typer.Typer(
    name="zarr-vectors",
    help="Look at, check, make, convert and repair stores of points, lines, graphs and meshes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"zarr-vectors {zarr_vectors.__version__} (format revisions {', '.join(REVISIONS)})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command as a whole."""


@app.command()
@reported
def info(store: Store, as_json: Json = False) -> None:
    """Show what a store holds: geometry, axes, shapes, attributes, levels."""
    described = describe_store(open_reader(store))
    if as_json:
        print_json(described)
    else:
        print_store(output(), described)


@app.command()
@reported
def ls(
    store: Store,
    level: Annotated[int | None, typer.Option("--level", "-l", help="Only this level.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """List the arrays of a store with their types, rows and sizes."""
    reader = open_reader(store)
    numbers = reader.level_numbers() if level is None else [level]
    arrays = list_arrays(reader, numbers)
    if as_json:
        print_json({"path": reader.storage.url, "arrays": arrays})
    else:
        print_arrays(output(), arrays)


@app.command()
@reported
def validate(
    store: Store,
    level: Annotated[
        int,
        typer.Option(
            "--level",
            "-l",
            min=1,
            max=5,
            help="1 structure, 2 metadata, 3 consistency of arrays, 4 conventions, 5 pyramid; each with those below.",
        ),
    ] = 5,
    sample: Annotated[
        float | None,
        typer.Option("--sample", help="Look at this fraction of the chunks.", min=0.0, max=1.0, show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the sample.", show_default=False)] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check.")] = False,
    as_json: Json = False,
) -> None:
    """Check a store against the format; exit code 1 where it breaks it."""
    report = validate_store(store, level=level, sample_fraction=sample, seed=seed)
    if as_json:
        print_json(report.to_dict())
    else:
        console = output()
        verdict = "[bold green]PASS[/]" if report.is_valid else "[bold red]FAIL[/]"
        console.print(f"Level {report.level} validation: {verdict}")
        console.print(
            f"{report.passed} passed, {len(report.warnings)} warnings, {len(report.errors)} errors", highlight=False
        )
        if verbose:
            headings = [(name, "left") for name in ("level", "check", "where", "outcome")]
            rows = [[str(o.level), o.check, o.path or "/", o.status] for o in report.outcomes]
            console.print(make_table(None, headings, rows))
        for finding in [*report.errors, *report.warnings, *report.notes]:
            color = SEVERITY_COLORS[finding.severity]
            console.print(f"[{color}]{escape(str(finding))}[/{color}]", soft_wrap=True)
    if not report.is_valid:
        raise typer.Exit(FAILED)


@app.command()
@reported
def plot(
    store: Store,
    picture: Annotated[Path, typer.Argument(help="File to write: .png, .pdf, .svg, …", show_default=False)],
    level: Annotated[
        int | None,
        typer.Option("--level", "-l", help="Resolution level; by default one of moderate size.", show_default=False),
    ] = None,
    bbox: Annotated[
        str | None, typer.Option("--bbox", help="Only this box, as LOWER:UPPER, 0,0,0:9,9,9.", show_default=False)
    ] = None,
    color_by: Annotated[
        str | None, typer.Option("--color-by", help="Axis or attribute for the colors.", show_default=False)
    ] = None,
    plane: Annotated[
        str | None, typer.Option("--plane", help="Axes of the picture, as x,z.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw the points of a store into a picture."""
    drawn = plot_points(store, picture, level=level, bbox=parse_box(bbox), color_by=color_by, plane=parse_names(plane))
    if as_json:
        print_json({"picture": str(picture), "level": drawn})
    else:
        output().print(f"Drew level {drawn} into {escape(str(picture))}", soft_wrap=True)


@app.command()
@reported
def ingest(
    source: Annotated[Path, typer.Argument(help="A .las or .laz file.", show_default=False)],
    target: Annotated[str, typer.Argument(help="Path or URL of the store to make.", show_default=False)],
    chunk_shape: ChunkShape = None,
    bin_shape: BinShape = None,
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


@app.command()
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


@app.command()
@reported
def migrate(
    source: Annotated[str, typer.Argument(help="Path or URL of the store to read.", show_default=False)],
    target: Annotated[str, typer.Argument(help="Path or URL of the store to write.", show_default=False)],
    format_version: Version = DEFAULT_REVISION,
    compressor: Compressor = "auto",
    overwrite: Overwrite = False,
    verify: Verify = True,
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


@app.command()
@reported
def rechunk(
    store: Annotated[str, typer.Argument(help="Path or URL of a store.", show_default=False)],
    target: Annotated[
        str | None, typer.Argument(help="Where to write; in place by default.", show_default=False)
    ] = None,
    by: Annotated[str, typer.Option("--by", help="spatial, group, object_id, or attribute:NAME.")] = "spatial",
    bins: Annotated[
        str | None, typer.Option("--bins", help="Lower edges of bins, as 0,10,20.", show_default=False)
    ] = None,
    categorical: Annotated[bool, typer.Option("--categorical", help="A bin for every value.")] = False,
    chunk_shape: ChunkShape = None,
    bin_shape: BinShape = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the first part of chunk keys.", show_default=False)
    ] = None,
    memory: Annotated[int, typer.Option("--memory", help="Megabytes of rows to hold at once.")] = (
        MEMORY_BUDGET // _MEGABYTE
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at the target.")] = False,
    verify: Verify = True,
    as_json: Json = False,
) -> None:
    """Put a store into other chunks, by space or by groups, objects or an attribute."""
    edges = parse_numbers(bins, "--bins")
    spec = RechunkSpec(
        by,
        bins=[edges] if isinstance(edges, float) else edges,
        spatial_chunk_shape=parse_numbers(chunk_shape, "--chunk-shape"),  # type: ignore[arg-type]
        prefix_dim_name=name,
        categorical=categorical,
    )
    if memory < 1:
        raise ArgumentError(f"--memory: expected a number of megabytes, got {memory}")
    with progress_bar("Levels") as (progress,):
        try:
            summary = rechunk_store(
                store,
                spec,
                target,
                bin_shape=parse_numbers(bin_shape, "--bin-shape"),
                overwrite=overwrite,
                verify=verify,
                memory_budget=memory * _MEGABYTE,
                progress=progress,
            )
        except StoreExistsError as error:
            raise StoreExistsError(f"{target} is there already; pass --overwrite to replace it") from error
    if as_json:
        print_json(summary)
        return
    count = summary["bins_created"]
    where = f"{count} bins by {by}, " if by != "spatial" else ""
    output().print(
        f"Rechunked {summary['total_vertices']:,} vertices, {summary['objects_rechunked']:,} objects: {where}chunks of "
        f"{readable_shape(tuple(summary['chunk_shape']))}. Written to {escape(summary['output_path'])}",
        soft_wrap=True,
    )


@app.command()
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


def parse_numbers(text: str | None, option: str) -> float | list[float] | None:
    """Read ``"200"`` or ``"200,200,50"``."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a number, or one per axis as in 200,200,50; got {text!r}", param_hint=option
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers


def parse_box(text: str | None) -> tuple[list[float], list[float]] | None:
    """Read ``"0,0,0:100,100,50"``, the lower and the upper corner."""
    if text is None:
        return None
    corners = [parse_numbers(part, "--bbox") for part in text.split(":")]
    if len(corners) != 2:
        raise typer.BadParameter(f"expected LOWER:UPPER as in 0,0,0:9,9,9; got {text!r}", param_hint="--bbox")
    low, high = ([corner] if isinstance(corner, float) else list(corner or []) for corner in corners)
    return low, high


def parse_factors(texts: Sequence[str]) -> list[tuple[float | tuple[float, ...], float]]:
    """Read ``"2"``, ``"2,2,1"`` or ``"4:2"``: the bin fold, and the object fold behind a colon."""
    factors: list[tuple[float | tuple[float, ...], float]] = []
    for text in texts:
        bins, _, objects = text.partition(":")
        fold = parse_numbers(bins, "--factor")
        kept = parse_numbers(objects or "1", "--factor")
        if fold is None or not isinstance(kept, float):
            raise typer.BadParameter(f"expected BINS or BINS:OBJECTS, got {text!r}", param_hint="--factor")
        factors.append((tuple(fold) if isinstance(fold, list) else fold, kept))
    return factors


def parse_aggregation(texts: Sequence[str]) -> str | dict[str, str] | None:
    """Read ``"mean"``, or several of ``"intensity=max"``."""
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    pairs = [text.partition("=") for text in texts]
    if not all(name and mode for name, _, mode in pairs):
        raise typer.BadParameter(
            f"expected one mode for all attributes, or NAME=MODE for each; got {' '.join(texts)}",
            param_hint="--aggregate",
        )
    return {name: mode for name, _, mode in pairs}


def parse_names(text: str | None) -> list[str] | None:
    """Read ``"intensity,classification"``."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
