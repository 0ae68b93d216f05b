"""Rules that a store must obey, one small function each, and the report they make.

:func:`validate` runs the rules of :mod:`zarr_vectors.validate.table` over a store, level by level of
strictness: structure, metadata, cross-array consistency, conventions, pyramid. The package can be called like it:
``zarr_vectors.validate(path)``.
"""

import sys
from types import ModuleType

from zarr_vectors.validate.report import Finding, Outcome, ValidationReport
from zarr_vectors.validate.running import validate

__all__ = ["Finding", "Outcome", "ValidationReport", "validate"]


class _CallablePackage(ModuleType):
    """A package that is called as the function that has its name."""

    __call__ = staticmethod(validate)


sys.modules[__name__].__class__ = _CallablePackage
