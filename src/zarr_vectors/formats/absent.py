"""Values that mean "absent"."""

from __future__ import annotations

import numpy as np

from zarr_vectors.model.attributes import AttributeSpec
from zarr_vectors.typing import AnyArray


def absent_values(spec: AttributeSpec, count: int) -> AnyArray:
    """Return values that mean "absent" for links of which a store holds no attribute.

    Parameters
    ----------
    spec : AttributeSpec
        The attribute.
    count : int
        How many.

    Returns
    -------
    (count,) or (count, C) array
        The attribute's own fill value, else NaN, the minimum of signed and the maximum of unsigned integers, False.
    """
    dtype = spec.numpy_dtype.newbyteorder("=")
    fill = spec.fill
    if fill is None:
        fill = {"f": np.nan, "b": False}.get(dtype.kind)
    if fill is None:
        fill = np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max
    return np.full((count,) if spec.channels is None else (count, spec.channels), fill, dtype)
