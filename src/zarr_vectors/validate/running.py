"""Running the rules over a store: in the order of their levels, what is damaged left out of what follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from zarr_vectors.exceptions import ArgumentError
from zarr_vectors.storage.journal import overlay
from zarr_vectors.storage.resolve import resolve_storage
from zarr_vectors.validate.blocks import Block, BlockReader, undecoded_cells
from zarr_vectors.validate.metavertices import CoarseSubject
from zarr_vectors.validate.report import LEVEL_TITLES, Finding, Outcome, ValidationReport
from zarr_vectors.validate.rule import Problem, Rule, error, note
from zarr_vectors.validate.rules.cells import BLOCK_RULES, COUNT_RULES
from zarr_vectors.validate.rules.level import LEVEL_RULES, NODE_RULES, level_readable
from zarr_vectors.validate.rules.links import LINK_RULES
from zarr_vectors.validate.rules.objects import cells_readable
from zarr_vectors.validate.rules.pyramid import COHERENCE_RULES, PYRAMID_RULES
from zarr_vectors.validate.rules.root import DOCUMENT_RULES, STORE_RULES, root_group, root_metadata
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject, Sampling, StoreSubject

MAX_FINDINGS = 20
"""Findings kept of one check on one level."""

NEED_LEGAL_FRAGMENTS = ("fragments-tile", "fragments-cover", "bin-fragments", "fragments-owned", "fragment-owners")
"""Rules that would only repeat what those of fragments and their references found."""

S = TypeVar("S")


def validate(
    path: Any,
    level: int = 5,
    sample_fraction: float | None = None,
    seed: int | None = None,
    backend: str | None = None,
    **backend_kwargs: Any,
) -> ValidationReport:
    """Check a store against the rules of the format.

    Parameters
    ----------
    path : str, path, zarr Store or Group
        The store.
    level : {1, 2, 3, 4, 5}
        How far to look: 1 structure, 2 metadata, 3 consistency between arrays, 4 conventions (every vertex is
        where the spatial index says), 5 coherence of the pyramid (counts and centroids of coarse levels are
        made anew). Each level includes those before it.
    sample_fraction : float, optional
        Look only at this fraction of the chunks, chosen at random, in levels 3 to 5; in (0, 1].
    seed : int, optional
        Seed of that choice.
    backend : str, optional
        Library to use for the storage.
    **backend_kwargs
        Options of the object store.

    Returns
    -------
    ValidationReport
        Errors, warnings and notes; damaged data is a finding, never an exception.

    Raises
    ------
    ArgumentError
        When the level or the fraction is out of range.
    StoreNotFoundError
        When no store is at the path.

    Examples
    --------
    >>> import numpy as np
    >>> from zarr_vectors.types.points import write_points
    >>> summary = write_points("memory://doc-validate", np.random.default_rng(0).uniform(0, 100, (1000, 3)))
    >>> validate("memory://doc-validate", level=5).is_valid
    True
    """
    if isinstance(level, bool) or not isinstance(level, int) or level not in LEVEL_TITLES:
        raise ArgumentError(f"level: expected a whole number from 1 to {max(LEVEL_TITLES)}, got {level!r}")
    sampling = Sampling.parse(sample_fraction, seed)
    storage = resolve_storage(path, mode="r", backend=backend, **backend_kwargs)  # type: ignore[arg-type]
    store = StoreSubject.open(overlay(storage) or storage)
    run = _Run(level)
    _check_root(run, store)
    if store.opened is not None:
        store.levels = [LevelSubject.find(store, number, sampling) for number in store.reader.level_numbers()]
        run.all(STORE_RULES, store, "")
        _check_levels(run, store.levels)
    return ValidationReport(storage.url, level, run.outcomes())


@dataclass(slots=True)
class _Run:
    """Problems found so far, by rule and part of the store, up to the level of validation that is wanted."""

    level: int
    found: dict[tuple[int, str, str], list[Problem]] = field(default_factory=dict)
    rules: dict[str, Rule[Any]] = field(default_factory=dict)

    def all(self, rules: Iterable[Rule[S]], subject: S, path: str) -> bool:
        """Run rules on a subject; return whether there were no errors."""
        good = True
        for rule in rules:
            good &= self.one(rule, subject, path)
        return good

    def one(self, rule: Rule[S], subject: S, path: str) -> bool:
        """Run a rule on a subject, if it is asked for and applies; return whether there were no errors."""
        if rule.level > self.level:
            return True
        try:
            if not rule.applies(subject):
                return True
            problems = list(rule.check(subject))
        except DAMAGE as failure:
            self.note(cells_readable, path.split("/")[0], [error(path, str(failure))])
            return False
        self.note(rule, path, problems)
        return not any(problem.severity == "error" for problem in problems)

    def note(self, rule: Rule[Any], path: str, problems: Iterable[Problem]) -> None:
        """Add the problems of a rule."""
        self.rules[rule.name] = rule
        known = self.found.setdefault((rule.level, rule.name, path), [])
        known += [problem for problem in problems if problem not in known]

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return the outcome of every check that was run, by level of validation."""
        made = []
        for (level, name, path), problems in sorted(self.found.items(), key=lambda item: item[0][0]):
            findings = [Finding(level, name, p.path, p.message, p.severity) for p in problems[:MAX_FINDINGS]]
            rest = problems[MAX_FINDINGS:]
            if rest:
                worst = "error" if any(p.severity == "error" for p in rest) else rest[0].severity
                findings.append(Finding(level, name, path, f"and {len(rest)} more of these", worst))
            made.append(Outcome(level, name, self.rules[name].description, path, tuple(findings)))
        return tuple(made)


def _check_root(run: _Run, store: StoreSubject) -> None:
    """Check the root document; what keeps the store from opening is reported once."""
    if not run.one(root_group, store, ""):
        return
    good = store.sound = run.all([rule for rule in DOCUMENT_RULES if rule is not root_group], store, "")
    if store.opened is None and (good or run.level < root_metadata.level):
        # Nothing can be said of a store that does not open, whatever the level asked for.
        run.note(root_metadata, "", root_metadata.check(store))
    elif good:
        run.one(root_metadata, store, "")


def _check_levels(run: _Run, levels: list[LevelSubject]) -> None:
    """Check the levels one by one, then the coarse ones beside the others."""
    reader = BlockReader()
    for level in levels:
        good = run.all(NODE_RULES, level, level.path)
        if run.level < level_readable.level:
            continue
        if level.opened is None:
            if good:
                run.one(level_readable, level, level.path)
            continue
        run.one(level_readable, level, level.path)
        good &= run.all(LEVEL_RULES, level, level.path)
        level.failed = not (good & _check_chunks(run, level, reader))
    opened = {level.number: level for level in levels if level.opened is not None}
    if run.level >= cells_readable.level:
        for level in opened.values():
            run.all(LINK_RULES, level, level.path)
    if run.level < max(LEVEL_TITLES):
        return
    union = any(level.reader.metadata.is_additive for level in opened.values())
    for number, level in opened.items():
        if number > 0 and not union:  # levels that complete each other do not follow from each other
            coarse = CoarseSubject(level, opened, reader)
            level.failed |= not run.all(PYRAMID_RULES, coarse, level.path)
            if not level.reader.metadata.stale:  # a stale one is known not to follow from full resolution
                run.all(COHERENCE_RULES, coarse, level.path)


def _check_chunks(run: _Run, level: LevelSubject, reader: BlockReader) -> bool:
    """Check the chunks of a level, block by block; return whether there were no errors."""
    if run.level < cells_readable.level:
        return True
    encoding = level.reader.arrays.vertices.spec.encoding
    if encoding not in (None, "raw"):
        message = f"positions are encoded as {encoding!r}; what follows from rows was not checked"
        damaged = list(undecoded_cells(level))
        run.note(cells_readable, level.path, [note(level.path, message), *damaged])
        return not damaged
    problems: list[Problem] = []
    good, counted = True, 0
    for block in reader.blocks(level, problems):
        good &= _check_block(run, block)
        counted += len(block.positions)
        level.row_counts[block.chunk_rows] = block.counts
    run.note(cells_readable, level.path, problems)
    level.counted = None if problems or level.is_sampled else counted
    good &= not problems
    return run.all(COUNT_RULES, level, level.path) and good


def _check_block(run: _Run, block: Block) -> bool:
    """Run the rules of decoded chunks; what follows from illegal fragments is not reported again."""
    path = block.level.path
    good = True
    for rule in BLOCK_RULES:
        if good or rule.name not in NEED_LEGAL_FRAGMENTS:
            good &= run.one(rule, block, path)
    return good
