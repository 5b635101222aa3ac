"""What a campaign's suites must be before it starts: enough items, answers that the scorers accept, no leaks.

`pinned` opens the suites where the campaign is started, checks them, and returns the campaign with what it records of
them: hashes, sizes and domains. Everything that can be known without a model is checked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.campaign import Campaign, Constitution, ItemSet
from schemas.scores import Kind
from schemas.sources import GymSource
from schemas.suites import SETS, AnySuite, FilesSuite, GymSuite, HarnessSuite, PuzzlesSuite, SuitePin
from tasks.formats import core_of
from tasks.item import Item
from tasks.registry import open_suite
from tasks.scorers.scorer import ScoreInvalid
from tasks.scoring import Scoring
from tasks.suite import Places, Suite, SuiteRefused, UserCodeFailed

SHOWN = 5
"""Examples that a message names."""

JUDGED = 20
"""Items whose own answers are judged, to see that scorer and columns fit."""

GRADED = ("difficulty", "wordings")
"""Knobs that choose among graded items, which only puzzles have."""


@dataclass(frozen=True)
class Checked:
    """A campaign that may start, and what its operator should know."""

    campaign: Campaign
    """The campaign with hashes and sizes of its suites, and its domains."""
    notes: tuple[str, ...] = ()
    """Remarks: how long a pool lasts, records that make no item, rows that will be dropped."""


@dataclass
class _Opened:
    """The suites of a campaign at its start."""

    campaign: Campaign
    suites: dict[str, tuple[Suite, Scoring]] = field(default_factory=dict)
    pins: dict[str, SuitePin] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def items(self, kind: Kind) -> Iterator[tuple[str, Item]]:
        """The pool of a set, with the names of the suites."""
        for name, (suite, _) in self.suites.items():
            for domain in self.pins[name].sets.get(kind, {}):
                yield from ((name, item) for item in suite.pool(kind, domain) or ())


def pinned(campaign: Campaign, places: Places, training: Mapping[str, Sequence[Item]] | None = None) -> Checked:
    """The campaign as it is recorded. `training` are rows of its sources by source, where they can be read here.

    Raises `SuiteRefused` with a line per mistake.
    """
    law = campaign.constitution
    if not law.suites:
        return Checked(campaign)
    if campaign.null_twin:
        law = law.model_copy(update={"suites": tuple(_twin(rule) for rule in law.suites)})
    opened = _Opened(campaign)
    rules = tuple(_pinned_suite(rule, places, opened) for rule in law.suites)
    law = law.model_copy(update={"suites": rules})
    domains = law.domains_of("dev")
    if "domains" in law.model_fields_set and set(law.domains) != set(domains):
        raise SuiteRefused(
            f"domains: {', '.join(law.domains)}; dev has {', '.join(domains) or 'none'}: leave `domains` out, or name "
            "those"
        )
    law = law.model_copy(update={"domains": domains})
    campaign = campaign.model_copy(update={"constitution": law})
    mistakes = [*_sets(law, opened), *_ungraded(campaign), *_both_generated(law), *_leaks(law, opened, training or {})]
    mistakes += [] if mistakes else list(_scorers(opened))
    if mistakes:
        raise SuiteRefused("\n".join(mistakes))
    return Checked(campaign, tuple(opened.notes))


def _pinned_suite(rule: AnySuite, places: Places, opened: _Opened) -> AnySuite:
    try:
        scorers = tuple(
            scorer.model_copy(update={"sha256": places.code_sha256(scorer.kind.rpartition(":")[0])})
            if scorer.user_code
            else scorer
            for scorer in rule.score
        )
    except SuiteRefused as refused:
        raise SuiteRefused(f"suites.{rule.name}.score: {refused}") from None
    rule = rule.model_copy(update={"score": scorers, "pin": None})
    suite = open_suite(rule, places)
    pin = suite.pin()
    if isinstance(rule, FilesSuite) and not rule.score:
        raise SuiteRefused(f"suites.{rule.name}.score: missing; name a scorer, as numeric, exact or FILE.py:function")
    opened.suites[rule.name] = suite, Scoring.of(suite, rule.score, places)
    opened.pins[rule.name] = pin
    for key, loaded in getattr(suite, "loaded", {}).items():
        if loaded.refused:
            reasons = ", ".join(f"{n} {reason}" for reason, n in loaded.refused.most_common())
            opened.notes.append(f"suites.{rule.name}.{key}: {len(loaded.items)} items; not used: {reasons}")
    return rule.model_copy(update={"pin": pin})


def _twin(rule: AnySuite) -> AnySuite:
    """The suite with target and final distributed as dev. Raises `SuiteRefused` where that cannot be had."""
    if isinstance(rule, FilesSuite):
        if rule.dev is None:
            return rule
        return rule.model_copy(update={"eval": rule.dev, "dev": None, "confirm": None, "target": None, "final": None})
    if isinstance(rule, GymSuite):
        return rule.model_copy(update={"tasks": tuple(task.model_copy(update={"target": {}}) for task in rule.tasks)})
    if isinstance(rule, PuzzlesSuite):
        return rule
    raise SuiteRefused(
        f"null_twin: the suite {rule.name} decides by itself what its target is; leave null_twin out, or use files"
    )


def _sets(law: Constitution, opened: _Opened) -> Iterator[str]:
    """Mistakes in the sizes of the sets."""
    for kind, key in SETS.items():
        owners = _owners(law, opened.pins, kind)
        if doubled := next((domain for domain, names in owners.items() if len(names) > 1), None):
            yield (
                f"suites: {' and '.join(owners[doubled])} both have the {key} domain {doubled!r}; rename one by a "
                "`domain` column or the suite's name"
            )
        if kind in law.lists:
            if owners:
                yield f"suites: {key} has both items and a list of tasks; keep one of them"
            continue
        if not owners and _needed(law, kind):
            yield f"suites: no suite has items of {key}; name a file for it, or `eval`, which is divided over all sets"
        spec: ItemSet = getattr(law.evaluation, kind)
        for domain, (name, *_) in owners.items():
            yield from _room(law, opened, kind, spec.items, domain, name)


def _owners(law: Constitution, pins: Mapping[str, SuitePin], kind: Kind) -> dict[str, list[str]]:
    owners: dict[str, list[str]] = {}
    for rule in law.suites:
        if not isinstance(rule, HarnessSuite):
            for domain in pins[rule.name].sets.get(kind, {}):
                owners.setdefault(domain, []).append(rule.name)
    return owners


def _needed(law: Constitution, kind: Kind) -> bool:
    return kind != "external" or (law.target == "sealed" and law.budget.external_queries > 0)


def _room(law: Constitution, opened: _Opened, kind: Kind, items: int, domain: str, suite: str) -> Iterator[str]:
    """Whether a pool has enough items of a domain: confirm needs fresh ones in every round, and for the base."""
    pool = opened.pins[suite].sets[kind][domain]
    if not pool:  # generated
        return
    draws = law.rounds + 1 if kind == "confirm" else 1
    if items * draws > pool:
        each = f"{items} for the base and each of {law.rounds} rounds" if draws > 1 else f"{items}"
        fewer = f"set evaluation.{kind}.items to {pool // draws} or less, " if pool >= draws else ""
        remedy = f"{fewer}bring more items"
        remedy += ", or lower rounds" if draws > 1 else ""
        yield (
            f"suites.{suite}: {SETS[kind]} has {pool} items of the domain {domain}; {each} are needed"
            f"{f' ({items * draws})' if draws > 1 else ''}: {remedy}"
        )
    elif kind == "confirm":
        opened.notes.append(
            f"suites.{suite}: confirm has {pool} items of {domain}, enough for {pool // items - 1} rounds of {items}"
        )


def _ungraded(campaign: Campaign) -> Iterator[str]:
    """Knobs of graded items where no item is graded."""
    law = campaign.constitution
    if any(isinstance(rule, PuzzlesSuite) for rule in law.suites):
        return
    for kind, key in SETS.items():
        spec = getattr(law.evaluation, kind)
        for knob in GRADED:
            if getattr(spec, knob) != ItemSet.model_fields[knob].default:
                yield f"evaluation.{key}.{knob}: only puzzles are graded, and no suite has any; leave it out"
    for knob in (*GRADED, "curriculum"):
        if law.values(knob):
            yield f"space: {knob} changes nothing, as only puzzles are graded; leave the axis out"


def _both_generated(law: Constitution) -> Iterator[str]:
    """Data sets of reasoning-gym that a source trains on and a suite measures: the source draws from all questions."""
    measured = {task.task: rule.name for rule in law.suites if isinstance(rule, GymSuite) for task in rule.tasks}
    for source in law.data.sources if law.data else ():
        for task in source.tasks if isinstance(source, GymSource) else ():
            if task in measured:
                yield (
                    f"data.sources.{source.name}.tasks: {task} is measured by suites.{measured[task]}, whose questions "
                    f"the source may draw; leave it out, and train on the suite's own rows: kind: suite, suite: "
                    f"{measured[task]}"
                )


def _leaks(law: Constitution, opened: _Opened, training: Mapping[str, Sequence[Item]]) -> Iterator[str]:
    """Evaluation items that are in two sets, or among the training rows."""
    cores: dict[str, tuple[Kind, str]] = {}
    for kind in SETS:
        for name, item in opened.items(kind):
            core = core_of(item.prompt, item.messages)
            other = cores.setdefault(core, (kind, name))
            if other[0] != kind:
                yield (
                    f"suites.{name}: an item is in {SETS[other[0]]} and in {SETS[kind]}: {item.prompt[:80]!r}; remove "
                    "it from one of the files"
                )
                return
    drop = {rule.name for rule in law.suites if isinstance(rule, FilesSuite) and rule.overlap == "drop"}
    for source, rows in training.items():
        shared = [(row, cores[core]) for row in rows if (core := core_of(row.prompt, row.messages)) in cores]
        if not shared:
            continue
        refused = [(row, owner) for row, owner in shared if owner[1] not in drop]
        if not refused:
            opened.notes.append(f"data.sources.{source}: {len(shared)} rows are evaluation items; they will be dropped")
            continue
        row, (kind, name) = refused[0]
        yield (
            f"data.sources.{source}: {len(refused)} of {len(rows)} rows are evaluation items of suites.{name}, such as "
            f"{row.prompt[:80]!r} ({SETS[kind]}); remove them, or set suites.{name}.overlap: drop"
        )


def _scorers(opened: _Opened) -> Iterator[str]:
    """Scorers that accept no item's own answer, which means that scorer and columns do not fit."""
    for name, (suite, scoring) in opened.suites.items():
        items = [item for item in _some(name, suite, opened.pins[name]) if item.answer]
        if not items:
            continue
        try:
            accepted = _accepted(scoring, items)
        except (ScoreInvalid, UserCodeFailed) as error:
            yield f"suites.{name}.score: {error}"
            continue
        if not accepted:
            item = items[0]
            yield (
                f"suites.{name}.score: none of {len(items)} items' own answers gets a score above 0, such as "
                f"{item.answer[:60]!r} to {item.prompt[:60]!r}; correct columns.answer, answer_pattern or the scorer"
            )
        elif accepted < len(items):
            opened.notes.append(
                f"suites.{name}.score: {len(items) - accepted} of {len(items)} items' own answers get a score below 1"
            )


def _accepted(scoring: Scoring, items: Sequence[Item]) -> int:
    """How many items' own answers, or worked completions, get a score; 0 if none is above 0."""
    bare = scoring.items(items, [item.answer for item in items]).values
    worked = scoring.items(items, [item.trace or item.answer for item in items]).values
    best = [max(a or 0.0, b or 0.0) for a, b in zip(bare, worked, strict=True)]
    return sum(value >= 1.0 for value in best) or sum(value > 0.0 for value in best)


def _some(name: str, suite: Suite, pin: SuitePin) -> list[Item]:
    """A few items of a suite: of every domain of dev and target."""
    items: list[Item] = []
    for kind in ("dev", "external"):
        domains: Iterable[str] = pin.sets.get(kind, {})
        for domain in domains:
            pool = suite.pool(kind, domain)
            spec = ItemSet(items=SHOWN)
            try:
                items += pool[:SHOWN] if pool is not None else suite.generate(kind, domain, spec, "check")
            except NotImplementedError:
                continue
    return items[: JUDGED * 2]
