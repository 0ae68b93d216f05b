"""The passes of a repair: validate, repair what was found from the root down, validate again."""

from __future__ import annotations

from dataclasses import dataclass, field

from zarr_vectors.exceptions import ArgumentError, StoreError, ZarrVectorsError
from zarr_vectors.formats.documents import ROOT_KEY
from zarr_vectors.read.store import StoreReader
from zarr_vectors.repairing.contents import repair_contents
from zarr_vectors.repairing.context import Context, level_of
from zarr_vectors.repairing.draft import Draft
from zarr_vectors.repairing.levels import repair_levels
from zarr_vectors.repairing.links import repair_links
from zarr_vectors.repairing.nodes import repair_nodes
from zarr_vectors.repairing.report import RepairItem
from zarr_vectors.repairing.root import repair_root
from zarr_vectors.repairing.strays import find_strays
from zarr_vectors.repairing.totals import repair_bounds, repair_sparsity
from zarr_vectors.storage.port import Storage
from zarr_vectors.typing import Document
from zarr_vectors.validate.report import Finding
from zarr_vectors.validate.rule import Fix
from zarr_vectors.validate.rules import RULES
from zarr_vectors.validate.running import validate
from zarr_vectors.validate.subjects import DAMAGE, LevelSubject, Sampling, StoreSubject

MAX_PASSES = 16
_UNREADABLE = (*DAMAGE, StoreError, KeyError)


@dataclass(slots=True)
class Plan:
    """What a repair is to change.

    Parameters
    ----------
    draft : Draft
        The changes.
    items : list of RepairItem
        What is to be said of them, and of what is left.
    """

    draft: Draft
    items: list[RepairItem] = field(default_factory=list)


def make_plan(storage: Storage, *, drop: bool) -> Plan:
    """Find out what can be repaired in a store; nothing is changed.

    Parameters
    ----------
    storage : Storage
        The store.
    drop : bool
        Whether what cannot be repaired is to be dropped.
    """
    plan = Plan(Draft(storage))
    context = Context(plan.draft, (), drop)
    context.findings = first = _findings(plan.draft)
    seen: list[object] = []
    for _ in range(MAX_PASSES):
        state = plan.draft.state()
        context.losses.clear()
        if not context.findings or state in seen:
            break
        seen.append(state)
        _pass(context)
        if plan.draft.state() == state:
            break
        context.findings = _findings(plan.draft)
    plan.items += context.items
    plan.items += _unsaid(context, first)
    plan.items += _left(context)
    plan.items += find_strays(plan.draft)
    return plan


def _findings(draft: Draft) -> tuple[Finding, ...]:
    """Return the errors of a store, and those warnings that can be repaired."""
    report = validate(draft, level=5)
    return (*report.errors, *(f for f in report.warnings if _fix(f).warnings))


def _fix(finding: Finding) -> Fix:
    """Return what is done about a finding."""
    return RULES[finding.check].fix or Fix()


def _pass(context: Context) -> None:
    """Repair the uppermost of what is damaged; what hangs on it is looked at again in the next pass."""
    before = context.draft.state()
    root = repair_root(context)
    if root is None or context.draft.state() != before:
        return
    repair_bounds(context, root)
    if context.draft.state() != before:
        return
    repair_levels(context, root)
    if context.draft.state() != before:
        return
    try:
        store = StoreReader.open(context.draft)
    except _UNREADABLE:
        return
    numbers = store.level_numbers()
    damaged = [number for number in numbers if any(level_of(f) == number for f in context.findings)]
    for number in damaged:
        repair_nodes(context, store.revision, number, store.root.ndim, _specs(root))
        repair_sparsity(context, root, number)
    if context.draft.state() != before:
        return
    for number in damaged:
        if any(level_of(f) == number and _fix(f).step == "cells" for f in context.findings):
            _contents(context, number)
    if context.draft.state() != before:
        return
    for number in damaged:
        if any(level_of(f) == number and _fix(f).step == "links" for f in context.findings):
            _links(context, number)


def _specs(root: Document) -> Document:
    specs = root["attributes"][ROOT_KEY].get("attribute_specs")
    return specs if isinstance(specs, dict) else {}


def _subject(context: Context, number: int) -> tuple[StoreReader, LevelSubject] | None:
    """Open a level of the draft."""
    store = StoreSubject.open(context.draft)
    if store.opened is None:
        return None
    subject = LevelSubject.find(store, number, Sampling(None, 0))
    return None if subject.opened is None else (store.reader, subject)


def _contents(context: Context, number: int) -> None:
    found = _subject(context, number)
    if found is None:
        return
    before, said = context.draft.state(), len(context.items)
    try:
        repair_contents(context, *found)
    except (ZarrVectorsError, KeyError) as failure:
        context.hopeless("cells-readable", str(number), f"the level cannot be read as a whole: {failure}")
    if context.draft.state() == before:
        del context.items[said:]  # a level is written as a whole or not at all


def _links(context: Context, number: int) -> None:
    found = _subject(context, number)
    if found is None:
        return
    before, said = context.draft.state(), len(context.items)
    try:
        repair_links(context, *found)
    except (ZarrVectorsError, ArgumentError, KeyError) as failure:
        context.hopeless("link-endpoints", str(number), f"links cannot be read: {failure}")
    if context.draft.state() == before:
        del context.items[said:]


def _unsaid(context: Context, first: tuple[Finding, ...]) -> list[RepairItem]:
    """Return what was found at first, is found no more, and was not spoken of by the step that repaired it."""
    left = {(finding.check, level_of(finding)) for finding in context.findings}
    said = {(item.check, item.path.split("/")[0]) for item in [*context.items, *context.losses.values()]}
    return [
        RepairItem("repaired", finding.check, finding.path, f"{finding.message}: no longer")
        for finding in first
        if (finding.check, level_of(finding)) not in left and (finding.check, finding.path.split("/")[0]) not in said
    ]


def _left(context: Context) -> list[RepairItem]:
    """Return what is still damaged: what the steps said of it, and what validation finds besides."""
    said = list(context.losses.values())
    for finding in context.findings:
        if finding.severity != "error":
            continue
        known = any(
            item.check == finding.check and item.path.split("/")[0] == finding.path.split("/")[0] for item in said
        )
        if not known:
            advice = RULES[finding.check].otherwise
            item = RepairItem("unrepairable", finding.check, finding.path, f"{finding.message} ({advice})")
            said.append(item)
    return said
