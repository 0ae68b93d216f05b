"""What the metadata sums up: bounds of the store, and which fraction of the objects a level keeps."""

from __future__ import annotations

import numpy as np

from zarr_vectors.exceptions import ZarrVectorsError
from zarr_vectors.formats.documents import LEVEL_KEY, MULTISCALES_KEY, ROOT_KEY
from zarr_vectors.read.fetch import fetch_cells
from zarr_vectors.read.objects import read_manifests
from zarr_vectors.read.store import StoreReader
from zarr_vectors.read.vertices import decode_vertices
from zarr_vectors.repairing.context import Context
from zarr_vectors.repairing.root import ROOT, as_numbers
from zarr_vectors.typing import Document, FloatArray


def repair_bounds(context: Context, root: Document) -> bool:
    """Give the root bounds that hold every vertex, where it has none or those of its own do not."""
    block = root["attributes"][ROOT_KEY]
    ndim = len(block["chunk_shape"])
    stated = _corners(block.get("bounds"), ndim)
    if stated is not None and not context.has("inside-bounds"):
        return False
    if context.has("vertices-in-chunk", "vertices-finite"):
        return False
    if stated is None:
        block["bounds"] = [[0.0] * ndim, [0.0] * ndim]
        context.draft.put_document("", root)
    extent = _extent(context, ndim)
    if extent is None:
        if stated is None:
            context.hopeless("root-metadata", ROOT, "bounds are lost, and vertices cannot be read")
        return False
    low, high = extent
    if stated is not None:
        low, high = np.minimum(low, stated[0]), np.maximum(high, stated[1])
    block["bounds"] = [low.tolist(), high.tolist()]
    context.draft.put_document("", root)
    check = "root-metadata" if stated is None else "inside-bounds"
    context.repaired(check, ROOT, f"bounds {block['bounds']} hold every vertex again")
    return True


def _corners(bounds: object, ndim: int) -> FloatArray | None:
    if not isinstance(bounds, list) or len(bounds) != 2:
        return None
    corners = [as_numbers(corner, ndim, positive=False) for corner in bounds]
    if corners[0] is None or corners[1] is None:
        return None
    made = np.array(corners, np.float64)
    return made if bool((made[0] <= made[1]).all()) else None


def _extent(context: Context, ndim: int) -> tuple[FloatArray, FloatArray] | None:
    """Return the corners of the box around the vertices of all levels."""
    low, high = np.full(ndim, np.inf), np.full(ndim, -np.inf)
    try:
        store = StoreReader.open(context.draft)
        for number in store.level_numbers():
            level = store.level(number)
            if len(level.chunks) == 0:
                continue
            positions = decode_vertices(fetch_cells(level.storage, [level.arrays.vertices], level.chunks)[0])[0]
            if not np.isfinite(positions).all():
                return None
            if len(positions):
                low, high = np.minimum(low, positions.min(axis=0)), np.maximum(high, positions.max(axis=0))
    except (ZarrVectorsError, KeyError):
        return None
    return (low, high) if np.isfinite(low).all() else None


def repair_sparsity(context: Context, root: Document, number: int) -> None:
    """Make root and level state the fraction of the objects that a level keeps."""
    if not context.has("object-sparsity", "level-shapes", level=number):
        return
    document = context.draft.document(str(number))
    block = ((document or {}).get("attributes") or {}).get(LEVEL_KEY)
    datasets = root["attributes"][MULTISCALES_KEY][0]["datasets"]
    entry = next((one for one in datasets if str(one.get("path")) == str(number)), None)
    if document is None or entry is None or not isinstance(block, dict):
        return
    said = [one.get("object_sparsity") for one in (block, entry)]
    agree = said[0] == said[1]
    if agree and not context.has("object-sparsity", level=number):
        return
    measured = _measured(context, number)
    if measured is None:
        sparsity = 1.0
    else:
        kept, total = measured
        near = [s for s in said if isinstance(s, (int, float)) and abs(s * total - kept) <= 0.5 + 1e-6]
        sparsity = float(near[0]) if near else kept / total
    if not 0 < sparsity <= 1:
        return
    block["object_sparsity"] = sparsity
    if "object_sparsity" in entry or not agree:
        entry["object_sparsity"] = sparsity
    context.draft.put_document(str(number), document)
    context.draft.put_document("", root)
    check = "object-sparsity" if context.has("object-sparsity", level=number) else "level-shapes"
    context.repaired(check, str(number), f"object_sparsity is {sparsity:g} again, as the objects that are there say")


def _measured(context: Context, number: int) -> tuple[int, int] | None:
    """Return how many objects a level keeps of how many."""
    try:
        store = StoreReader.open(context.draft)
        level, finest = store.level(number), store.level(0)
        if level.arrays.object_index is None or finest.arrays.object_index is None:
            return None
        kept = int((np.diff(read_manifests(level, None).offsets) > 0).sum())
        total = finest.arrays.object_index.count
    except (ZarrVectorsError, KeyError):
        return None
    return (kept, total) if total else None
