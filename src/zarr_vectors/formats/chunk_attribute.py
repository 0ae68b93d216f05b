"""The attribute that chunk keys start with ⇄ level metadata: the value of every bin, in the attribute's own type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import MetadataError, ZarrVectorsError
from zarr_vectors.formats.columns import decode_column, make_column
from zarr_vectors.formats.documents import attribute_document, parse_attribute, plain_value
from zarr_vectors.model.attributes import AttributeSpec, Column
from zarr_vectors.model.metadata import CHUNK_ATTRIBUTE, LevelMetadata
from zarr_vectors.typing import AnyArray


def keyed_metadata(name: str, bins: Column) -> dict[str, Any]:
    """Return what a level's metadata says of the attribute that its chunks go by, as fields of `LevelMetadata`.

    The format's own key lists the values as any reader can show them; one of our own holds them as they are stored,
    with their data type and encoding, so that they come back as what they were.

    Parameters
    ----------
    name : str
        The attribute.
    bins : Column
        One row per bin.
    """
    document = {
        "spec": attribute_document("attribute", name, bins.spec),
        "values": [_exact(value) for value in bins.values],
    }
    return {
        "chunk_attribute_name": name,
        "chunk_attribute_values": tuple(_shown(value) for value in decode_column(bins)),
        "extra": {CHUNK_ATTRIBUTE: document},
    }


def keyed_column(metadata: LevelMetadata, spec: AttributeSpec | None, where: str) -> Column | None:
    """Return the value of every bin of the attribute that a level's chunks go by; None where it lists none.

    Parameters
    ----------
    metadata : LevelMetadata
        Of the level.
    spec : AttributeSpec, optional
        What is known of the attribute from elsewhere, for levels that list plain values only.
    where : str
        The level, for messages.
    """
    shown = metadata.chunk_attribute_values
    if shown is None:
        return None
    said = metadata.extra.get(CHUNK_ATTRIBUTE)
    if isinstance(said, dict) and isinstance(said.get("values"), list) and len(said["values"]) == len(shown):
        held = parse_attribute(said.get("spec") or {}, f"{where}: {CHUNK_ATTRIBUTE}")
        try:
            values = np.array(said["values"], held.numpy_dtype.newbyteorder("="))
        except (TypeError, ValueError, OverflowError) as error:
            raise MetadataError(f"{where}: {CHUNK_ATTRIBUTE}: its values are no {held.dtype}: {error}") from error
        if values.ndim != 1 or held.channels is not None:
            raise MetadataError(f"{where}: {CHUNK_ATTRIBUTE}: one value a bin is needed, got {values.shape} values")
        return Column(values, held)
    typed = None if spec is None else _typed(shown, spec)
    return _untyped(metadata.chunk_attribute_name or "", shown) if typed is None else typed


def _exact(value: Any) -> Any:
    """Return a stored value as JSON can hold it: floats by the shortest decimal that is theirs in their own type."""
    return float(str(value)) if isinstance(value, np.floating) else plain_value(value)


def _shown(value: Any) -> Any:
    exact = str(value) if isinstance(value, np.datetime64 | np.timedelta64) else _exact(value)
    return exact if isinstance(exact, bool | int | float | str) else str(value)


def _typed(shown: Sequence[Any], spec: AttributeSpec) -> Column | None:
    """Return listed values in the stored form of an attribute; None where they do not fit it."""
    listed: Sequence[Any] = shown
    if spec.categories is not None:
        codes = {plain_value(category): code for code, category in enumerate(spec.categories)}
        listed = [codes.get(value) for value in shown]
    elif spec.encoding is not None or not spec.dtype or spec.channels is not None:
        listed = [value if isinstance(value, int) else None for value in shown]
    try:
        values = np.array(listed, spec.numpy_dtype.newbyteorder("="))
    except (TypeError, ValueError, OverflowError):
        return None
    changed = values.dtype.kind != "f" and values.tolist() != list(listed)
    return None if None in listed or changed else Column(values, spec)


def _untyped(name: str, shown: Sequence[Any]) -> Column:
    """Return values of which nothing but their JSON is known."""
    listed: AnyArray = np.array(shown)
    if listed.dtype.kind == "f" and all(isinstance(value, int) for value in shown):
        listed = np.array(shown, np.uint64)  # NumPy takes the largest of them for floats
    try:
        return make_column("attributes", name, listed, len(shown), "bin")
    except ZarrVectorsError as error:
        raise MetadataError(f"chunk_attribute_values of {name!r}: {error}") from error
