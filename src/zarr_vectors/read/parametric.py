"""Reading parametric objects: the group's metadata, then everything it holds."""

from __future__ import annotations

from zarr_vectors.constants import GROUP_ATTRIBUTES, OBJECT_ATTRIBUTES, PARAMETRIC
from zarr_vectors.formats.parametric import NODES_KEY, ParametricArrays, known_nodes
from zarr_vectors.model.parametric import ParametricTable
from zarr_vectors.read.store import parse_document, read_attributes
from zarr_vectors.storage.port import Range, Storage


def read_parametric_table(storage: Storage) -> ParametricTable | None:
    """Return the parametric objects of a store, or None where it has none.

    Raises
    ------
    MetadataError, ArrayError
        When the group or one of its arrays is damaged.
    """
    blob = storage.get_many([Range(f"{PARAMETRIC}/zarr.json")])[0]
    if blob is None:
        return None
    attributes = read_attributes(blob, f"{storage.url}: {PARAMETRIC}", "group")
    paths = known_nodes(attributes)
    if NODES_KEY not in attributes and storage.can_list:
        folders = [f"{PARAMETRIC}/{family}" for family in (OBJECT_ATTRIBUTES, GROUP_ATTRIBUTES)]
        listings = storage.list_folders(folders)
        paths += [f"{folder}/{name}" for folder, found in zip(folders, listings, strict=True) for name in found.folders]
    blobs = storage.get_many([Range(f"{path}/zarr.json") for path in paths])
    documents = {
        path: parse_document(found, f"{storage.url}: {path}/zarr.json")
        for path, found in zip(paths, blobs, strict=True)
        if found is not None
    }
    if not documents:
        return None
    arrays = ParametricArrays.open(attributes, documents, storage.url)
    return arrays.decode(storage.get_many(arrays.requests()))
