"""The ``zarr-vectors`` command (extra ``cli``)."""

from __future__ import annotations

import sys

from zarr_vectors.exceptions import MissingExtraError
from zarr_vectors.extras import require


def main() -> None:
    """Run the command; without its libraries say what to install.

    Exit codes: 0 done, 1 an operation or a validation failed, 2 the command was used wrongly.
    """
    try:
        for library in ("typer", "rich"):
            require(library, "cli", "commands")
    except MissingExtraError as error:
        sys.exit(f"error: {error}")
    from zarr_vectors.cli.app import app  # noqa: PLC0415 - typer is an extra

    app(prog_name="zarr-vectors")
