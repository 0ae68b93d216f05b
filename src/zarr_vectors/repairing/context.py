"""What the steps of a repair share: the draft, what validation found, and what has been noted."""

from __future__ import annotations

from dataclasses import dataclass, field

from zarr_vectors.repairing.draft import Draft
from zarr_vectors.repairing.report import Kind, RepairItem
from zarr_vectors.validate.report import Finding


@dataclass(slots=True)
class Context:
    """One pass over a store.

    Parameters
    ----------
    draft : Draft
        The store, with what was repaired so far.
    findings : tuple of Finding
        What validation finds wrong with the draft.
    drop : bool
        Whether what cannot be repaired may be taken out.
    items : list of RepairItem
        What was repaired and dropped so far.
    losses : dict of str to RepairItem
        What would have to be dropped, by place and message.
    """

    draft: Draft
    findings: tuple[Finding, ...]
    drop: bool
    items: list[RepairItem] = field(default_factory=list)
    losses: dict[str, RepairItem] = field(default_factory=dict)

    def found(self, *checks: str, level: int | None = None) -> list[Finding]:
        """Return what some rules found, on one level or anywhere."""
        return [f for f in self.findings if f.check in checks and (level is None or level_of(f) == level)]

    def has(self, *checks: str, level: int | None = None) -> bool:
        """Return whether some rules found something, on one level or anywhere."""
        return bool(self.found(*checks, level=level))

    def repaired(self, check: str, path: str, message: str) -> None:
        """Note what was made anew."""
        self._note("repaired", check, path, message)

    def lost(self, check: str, path: str, message: str) -> bool:
        """Note what cannot be made anew; return whether it may be dropped."""
        if self.drop:
            self._note("dropped", check, path, message)
        else:
            item = RepairItem("unrepairable", check, path, f"{message}; drop_damaged=True takes it out")
            self.losses[f"{path}: {message}"] = item
        return self.drop

    def hopeless(self, check: str, path: str, message: str) -> None:
        """Note what can be neither repaired nor dropped."""
        self.losses[f"{path}: {message}"] = RepairItem("unrepairable", check, path, message)

    def _note(self, kind: Kind, check: str, path: str, message: str) -> None:
        item = RepairItem(kind, check, path, message)
        if item not in self.items:
            self.items.append(item)


def level_of(finding: Finding) -> int | None:
    """Return the level that a finding is about, None for the root."""
    first = finding.path.split("/")[0]
    return int(first) if first.isdecimal() and first.isascii() else None
