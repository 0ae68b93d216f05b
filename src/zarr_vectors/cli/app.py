"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

import zarr_vectors
from zarr_vectors.cli import building, inspecting, rechunking
from zarr_vectors.formats.detection import REVISIONS

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


for command in (
    inspecting.info,
    inspecting.ls,
    inspecting.validate,
    inspecting.plot,
    building.ingest,
    building.pyramid,
    building.migrate,
    rechunking.rechunk,
    building.repair,
):
    app.command(command.__name__)(command)
