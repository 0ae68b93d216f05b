"""Which revision a store is of: a table of stamps, checked against the layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from zarr_vectors.constants import VERTICES
from zarr_vectors.exceptions import ArgumentError, UnsupportedFeatureError
from zarr_vectors.formats.revision import Revision
from zarr_vectors.formats.tokens import VERSION_REMEDY
from zarr_vectors.formats.v07.revision import Revision07
from zarr_vectors.formats.v09.revision import Revision09
from zarr_vectors.typing import Document

REVISIONS: Final[Mapping[str, Revision]] = {"0.7": Revision07(), "0.9": Revision09()}
DEFAULT_REVISION: Final = "0.9"

READ_AS: Final[Mapping[str, str]] = {**{name: name for name in REVISIONS}, "0.10": "0.9"}
"""Revisions that are read, and by the rules of which: 0.10 as it was proposed changes metadata of the root only."""


def revision_named(format_version: Any) -> Revision:
    """Return the revision that a user asked for, by name (``"0.9"``) or stamp (``"0.9.2"``).

    Raises
    ------
    ArgumentError
        When it is not one that can be written.
    """
    name = revision_of(str(format_version))
    if name not in REVISIONS:
        raise ArgumentError(f"format_version: expected one of {', '.join(REVISIONS)}, got {format_version!r}")
    return REVISIONS[name]


def revision_of(stamp: str) -> str:
    """Return the name of the revision that a stamp is of: its first two numbers."""
    return ".".join(stamp.split(".")[:2])


def detect_revision(stamp: str, vertices: Document | None, where: str) -> Revision:
    """Return the revision of a store from its stamp and from what node its vertices are.

    In revision 0.9 a level's ``vertices`` is an array, in 0.7 a group; stamps alone are not reliable
    (the reference does not check its own).

    Parameters
    ----------
    stamp : str
        The root's ``zv_version``.
    vertices : dict, optional
        ``zarr.json`` of ``0/vertices``, where there is one.
    where : str
        The store, for the message.

    Raises
    ------
    UnsupportedFeatureError
        When neither says a revision that is known here.
    """
    named = REVISIONS.get(READ_AS.get(revision_of(stamp), ""))
    if named is None:
        raise UnsupportedFeatureError(
            f"{where}: zv_version is {stamp!r}; this version of zarr-vectors reads revisions "
            f"{', '.join(READ_AS)}; {VERSION_REMEDY}"
        )
    node = None if vertices is None else vertices.get("node_type")
    if node == "group":
        return REVISIONS["0.7"]
    if node == "array":
        return REVISIONS["0.9"]
    return named


def vertices_node(level: str) -> str:
    """Return the address of the metadata whose node type tells the revisions apart."""
    return f"{level}/{VERTICES}/zarr.json"
