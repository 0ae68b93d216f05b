"""Results that answer to attributes and to ``result["key"]`` alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, ClassVar


class Result:
    """A dataclass whose fields can also be reached by key, as ``result["positions"]``."""

    _aliases: ClassVar[dict[str, str]] = {}

    def keys(self) -> list[str]:
        """Return the names of the fields."""
        return [field.name for field in fields(self)]  # type: ignore[arg-type]

    def __getitem__(self, key: str) -> Any:
        name = self._aliases.get(key, key)
        if not isinstance(key, str) or name.startswith("_") or not hasattr(self, name):
            raise KeyError(f"{type(self).__name__} has no {key!r}; it has {', '.join(self.keys())}")
        return getattr(self, name)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._aliases.get(key, key) in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a field, or a default where there is no such field."""
        try:
            return self[key]
        except KeyError:
            return default
