"""Commands that look at a store: ``info``, ``ls``, ``validate``, ``plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from zarr_vectors.cli.describing import describe_store, list_arrays
from zarr_vectors.cli.parsing import parse_box, parse_names
from zarr_vectors.cli.reporting import FAILED, Json, output, print_json, reported
from zarr_vectors.cli.tables import make_table, print_arrays, print_store
from zarr_vectors.read.opening import open_reader
from zarr_vectors.validate import validate as validate_store
from zarr_vectors.view.plots import plot_points

Store = Annotated[str, typer.Argument(help="Path or URL of a store.", show_default=False)]
SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


@reported
def info(store: Store, as_json: Json = False) -> None:
    """Show what a store holds: geometry, axes, shapes, attributes, levels."""
    described = describe_store(open_reader(store))
    if as_json:
        print_json(described)
    else:
        print_store(output(), described)


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
            colour = SEVERITY_COLOURS[finding.severity]
            console.print(f"[{colour}]{escape(str(finding))}[/{colour}]", soft_wrap=True)
    if not report.is_valid:
        raise typer.Exit(FAILED)


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
        str | None, typer.Option("--color-by", help="Axis or attribute for the colours.", show_default=False)
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
