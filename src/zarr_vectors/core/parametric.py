"""The registry of parametric object types: planes, lines, spheres and what users add.

It stands in the attributes of the root's ``parametric`` group (Zarr Vectors specification, parametric objects).
"""

from __future__ import annotations

from collections.abc import Iterable

from zarr_vectors.constants import PARAMETRIC
from zarr_vectors.core.group import Group
from zarr_vectors.core.nodes import group_exists
from zarr_vectors.exceptions import UnknownNameError
from zarr_vectors.formats.parametric import TYPES_KEY, parse_types, types_document
from zarr_vectors.model.parametric import ParametricTypeDef

__all__ = [
    "PARAMETRIC_TYPES_KEY",
    "ParametricTypeDef",
    "get_parametric_group",
    "read_parametric_types",
    "write_parametric_types",
]

PARAMETRIC_TYPES_KEY = TYPES_KEY


def get_parametric_group(root: Group) -> Group:
    """Return the group of parametric objects, made where it is not there.

    Raises
    ------
    UnknownNameError
        It is not there, and the store was opened for reading.
    """
    if root.read_only and not group_exists(root.handle, PARAMETRIC):
        raise UnknownNameError(
            f"{root.handle.storage.url}: there are no parametric objects; open the store with mode='r+' to add some"
        )
    return Group.at(root.handle).create_group(PARAMETRIC) if not root.read_only else _group(root)


def _group(root: Group) -> Group:
    return Group.at(root.handle, PARAMETRIC)


def read_parametric_types(root: Group) -> list[ParametricTypeDef]:
    """Return the types of parametric objects, by ascending id; none where there are no such objects.

    Raises
    ------
    MetadataError
        The registry is malformed.
    """
    return list(parse_types(_group(root).attrs.to_dict(), root.handle.storage.url))


def write_parametric_types(root: Group, types: Iterable[ParametricTypeDef]) -> None:
    """Write the registry of types anew; other attributes of the group stay.

    Parameters
    ----------
    root : Group
        Root of a store opened with ``mode="r+"``.
    types : iterable of ParametricTypeDef
        All types.

    Raises
    ------
    ArgumentError
        Two types have one id.
    ReadOnlyStoreError
        The store was opened for reading.
    """
    root.handle.require_writable()
    get_parametric_group(root).attrs[PARAMETRIC_TYPES_KEY] = types_document(types)
