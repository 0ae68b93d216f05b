"""Optional dependencies, imported when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from zarr_vectors.exceptions import MissingExtraError


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional dependency.

    Parameters
    ----------
    module : str
        Name to import, for example ``"laspy"``.
    extra : str
        Extra of this package that installs it.
    purpose : str
        What it is needed for; begins the message.

    Raises
    ------
    MissingExtraError
        When the module is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} need {module.partition('.')[0]}, which is not installed: "
            f'run: pip install "zarr-vectors[{extra}]"'
        ) from error
