"""Training rows of one of the campaign's suites: generated afresh in each round, or the training part of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random

from schemas.base import digest
from schemas.rows import Row
from schemas.sources import SuiteSource
from services.data.sources.columns import columns_text
from services.data.sources.rows import clean
from services.data.sources.source import Batch, Refused, RoundContext, SourceFailed, State, Step
from services.data.sources.suites import Suites, states
from tasks.item import Item

SHORT_KEY = 16
"""Hexadecimal digits of a row's key in the state."""

DONE = "round"
"""State key of the last round that drew rows, and how many of them are done."""


class SuiteRows:
    """A source of a suite's training rows. State: the rows that were given, and how far this round has come."""

    def __init__(self, spec: SuiteSource, context: RoundContext) -> None:
        if context.suites is None:
            raise SourceFailed(
                f"data.sources: {spec.name}: kind suite needs `constitution.suites`, and the campaign has none"
            )
        self.name, self._spec, self._suites = spec.name, spec, context.suites
        self._seed, self._round = context.seed, context.round

    def harvest(self, state: State) -> Iterator[Step]:
        """The round's rows that no earlier round gave, the domains by turns."""
        last: Mapping[str, int] = state.get(DONE, {})
        done = last["rows"] if last.get("round") == self._round else 0
        if done and last.get("ended"):
            return
        batch, given, wanted = Batch(), dict[str, int](), self._spec.rows_per_round
        for item in self._drawn():
            if done >= wanted:
                break
            key = _key(item)
            if key in given or state.get(key) is not None:
                continue
            given[key] = self._round
            done += 1
            try:
                batch.add(self._row(item))
            except Refused as refusal:
                batch.skip(refusal.reason, key, item.prompt)
            if batch.full:
                yield batch.step(given | {DONE: {"round": self._round, "rows": done}})
                given = {}
        yield batch.step(given | {DONE: {"round": self._round, "rows": done, "ended": True}})

    def _drawn(self) -> list[Item]:
        """The suite's training rows in this round's order: of each domain one, then of each the next, and so on."""
        seed = digest([self._seed, self._round, self.name])
        by_domain: dict[str, list[Item]] = {}
        for item in self._suites.training(self._spec, self._spec.rows_per_round, seed):
            by_domain.setdefault(item.domain, []).append(item)
        for domain, items in sorted(by_domain.items()):
            Random(f"{seed}/{domain}").shuffle(items)
        longest = max(map(len, by_domain.values()))
        return [items[at] for at in range(longest) for _, items in sorted(by_domain.items()) if at < len(items)]

    def _row(self, item: Item) -> Row:
        domains = self._spec.domains or (self._spec.domain,)
        if item.domain not in domains:
            raise Refused("other_domain")
        rule = self._suites.named(self._spec)
        return row_of(
            item,
            form=self._spec.form or default_form(self._suites, self._spec, item),
            source=self.name,
            uri=f"suite:{rule.name}",
            licence=self._spec.licence,
            sha256=digest([item.prompt, item.answer, item.trace]),
        )


def default_form(suites: Suites, spec: SuiteSource, item: Item) -> str:
    """The form of a row for which the campaign gives none: a text that ends with its answer is learnt as it stands."""
    form = suites.form(spec, item.answer, item.trace)
    return "{trace}" if form and states(item.trace, item.answer) else form


def row_of(item: Item, *, form: str, source: str, uri: str, licence: str, sha256: str) -> Row:
    """The row of a suite's item. Raises `Refused` if nothing is to be learnt from it."""
    trace, answer = clean(item.trace), clean(item.answer)
    if not (trace.strip() or answer.strip()):
        raise Refused("no_answer")
    turns = [{name: clean(text) for name, text in turn.items()} for turn in item.messages]
    if turns:
        turns.append({"role": "assistant", "content": trace or answer})
    return Row(
        domain=item.domain,
        difficulty=item.difficulty,
        wording=item.wording,
        prompt=clean(item.prompt),
        answer=answer,
        trace=trace or ("" if "{answer}" in form or not form else answer),
        core=item.core,
        source=source,
        uri=uri,
        licence=licence,
        sha256=sha256,
        form=form,
        messages=json.dumps(turns, ensure_ascii=False) if turns else "",
        columns=columns_text(item.columns),
    )


def _key(item: Item) -> str:
    return digest([item.domain, item.core])[:SHORT_KEY]
