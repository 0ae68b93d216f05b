"""The registry of parametric object types: planes, lines, spheres and what users add.

It stands in the attributes of the root's ``parametric`` group (Zarr Vectors specification, parametric objects).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zarr_vectors.constants import PARAMETRIC
from zarr_vectors.core.group import Group
from zarr_vectors.core.nodes import group_exists
from zarr_vectors.exceptions import ArgumentError, MetadataError, UnknownNameError
from zarr_vectors.typing import Document

PARAMETRIC_TYPES_KEY = "parametric_types"


@dataclass(frozen=True, slots=True)
class ParametricTypeDef:
    """One type of parametric object.

    Parameters
    ----------
    type_id : int
        Number by which rows of objects name the type.
    name : str
        For example ``"plane"``.
    coefficients : sequence of str
        Names of the coefficients, in the order in which rows hold them.
    """

    type_id: int
    name: str
    coefficients: Sequence[str]

    def __post_init__(self) -> None:
        """Check the definition."""
        if isinstance(self.type_id, bool) or not isinstance(self.type_id, int) or self.type_id < 0:
            raise ArgumentError(f"type_id: expected a whole number from 0, got {self.type_id!r}")
        if not isinstance(self.name, str) or not self.name:
            raise ArgumentError(f"name: expected the name of the type, got {self.name!r}")
        if isinstance(self.coefficients, str) or not all(isinstance(c, str) for c in self.coefficients):
            raise ArgumentError(f"coefficients: expected a sequence of names, got {self.coefficients!r}")

    def document(self) -> Document:
        """Return the definition as a JSON object."""
        return {"name": self.name, "coefficients": list(self.coefficients)}


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
    registry = _group(root).attrs.to_dict().get(PARAMETRIC_TYPES_KEY) or {}
    try:
        types = [
            ParametricTypeDef(int(key), entry["name"], list(entry["coefficients"])) for key, entry in registry.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MetadataError(f"{root.handle.storage.url}: {PARAMETRIC}: malformed type registry: {error}") from error
    return sorted(types, key=lambda one: one.type_id)


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
    registry: Document = {}
    for one in types:
        if str(one.type_id) in registry:
            raise ArgumentError(f"types: two of them have the id {one.type_id}")
        registry[str(one.type_id)] = one.document()
    get_parametric_group(root).attrs[PARAMETRIC_TYPES_KEY] = registry
