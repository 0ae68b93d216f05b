"""The command that puts a store into other chunks: ``rechunk``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from zarr_vectors.cli.parsing import parse_numbers
from zarr_vectors.cli.reporting import Json, output, print_json, progress_bar, readable_shape, reported
from zarr_vectors.exceptions import ArgumentError, StoreExistsError
from zarr_vectors.rechunking.running import MEMORY_BUDGET
from zarr_vectors.rechunking.running import rechunk as rechunk_store
from zarr_vectors.rechunking.spec import RechunkSpec

_MEGABYTE = 1 << 20


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
    chunk_shape: Annotated[
        str | None, typer.Option("--chunk-shape", help="Edge lengths, as 200 or 200,200,50.", show_default=False)
    ] = None,
    bin_shape: Annotated[
        str | None, typer.Option("--bin-shape", help="Edge lengths; must divide the chunks.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the first part of chunk keys.", show_default=False)
    ] = None,
    memory: Annotated[int, typer.Option("--memory", help="Megabytes of rows to hold at once.")] = (
        MEMORY_BUDGET // _MEGABYTE
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at the target.")] = False,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Read back and compare.")] = True,
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
