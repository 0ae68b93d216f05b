"""What a repair did, would do, or could not do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from zarr_vectors.typing import Document

Kind: TypeAlias = Literal["repaired", "dropped", "unrepairable", "stray"]


@dataclass(frozen=True, slots=True)
class RepairItem:
    """One thing that was damaged.

    Parameters
    ----------
    kind : {"repaired", "dropped", "unrepairable", "stray"}
        ``repaired``: made anew from what remains. ``dropped``: it could not be, and what was left of it was taken out.
        ``unrepairable``: left as it is. ``stray``: an object that nothing refers to, left as it is.
    check : str
        The validation rule that finds the damage; ``"leftovers"`` for what an interrupted change left behind.
    path : str
        Where in the store, below its root; ``""`` is the root.
    message : str
        What was found, and what was done or lost.
    """

    kind: Kind
    check: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.check}, {self.path or '/'}: {self.message}"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """The result of :func:`zarr_vectors.repair.repair`.

    Parameters
    ----------
    url : str
        The store.
    dry_run : bool
        Whether nothing was changed.
    items : tuple of RepairItem
        Everything that was found.
    written, deleted : tuple of str
        Addresses that were written and deleted, or would be, without journals and locks.
    """

    url: str
    dry_run: bool
    items: tuple[RepairItem, ...] = ()
    written: tuple[str, ...] = field(default=(), repr=False)
    deleted: tuple[str, ...] = field(default=(), repr=False)

    @property
    def repaired(self) -> list[RepairItem]:
        """What was made anew from what remains."""
        return self._of("repaired")

    @property
    def dropped(self) -> list[RepairItem]:
        """What was taken out because nothing of it remains elsewhere."""
        return self._of("dropped")

    @property
    def unrepairable(self) -> list[RepairItem]:
        """What is still damaged."""
        return self._of("unrepairable")

    @property
    def strays(self) -> list[RepairItem]:
        """Objects that nothing refers to."""
        return self._of("stray")

    @property
    def is_sound(self) -> bool:
        """Whether nothing damaged is left (after the repair, where this was a dry run)."""
        return not self.unrepairable

    @property
    def found_nothing(self) -> bool:
        """Whether there was nothing to do and nothing to complain of."""
        return not self.items

    def _of(self, kind: Kind) -> list[RepairItem]:
        return [item for item in self.items if item.kind == kind]

    def summary(self) -> str:
        """Return verdict, counts, and one line per item."""
        verdict = "nothing to repair" if self.found_nothing else "sound" if self.is_sound else "still damaged"
        tense = "would be " if self.dry_run else ""
        counts = f"  {len(self.repaired)} {tense}repaired, {len(self.dropped)} {tense}dropped, "
        counts += f"{len(self.unrepairable)} unrepairable, {len(self.strays)} stray"
        changes = f"  {len(self.written)} objects {tense}written, {len(self.deleted)} {tense}deleted"
        head = f"Repair of {self.url}{' (dry run)' if self.dry_run else ''}: {verdict}"
        return "\n".join([head, counts, changes, *(f"  {item}" for item in self.items)])

    def to_dict(self) -> Document:
        """Return the report as plain values that JSON can hold."""
        return {
            "url": self.url,
            "dry_run": self.dry_run,
            "is_sound": self.is_sound,
            "items": [asdict(item) for item in self.items],
            "written": list(self.written),
            "deleted": list(self.deleted),
        }

    def __str__(self) -> str:
        return self.summary()
