"""The data card of a snapshot, in Markdown: the origin of every row, and why other rows are not in it.

All numbers are counts. Per source: seen = skipped + dropped + left out + in the snapshot.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.campaign import Campaign, Model
from schemas.prompts import Prompt
from schemas.rows import Row
from schemas.sources import DataRule
from services.data.collect.harvest import UNSHOWN, Harvest
from services.data.collect.mix import BALANCE, chosen
from services.data.job import Collecting, Snapshot
from services.data.sources.source import EXAMPLES
from services.runtime.prompting import (
    ChatTemplateMissing,
    EndTokenMissing,
    Question,
    encode,
    plain_question,
    question_ids,
    turn_end,
)
from services.runtime.storage.model_folders import ModelDamaged, load_tokenizer

SHOWN = 120
"""Maximum characters of a foreign text, such as a licence."""

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")

NEW_ROWS = "SELECT source, count(*) FROM rows WHERE round = ? GROUP BY 1"
"""Rows that a round added, by source."""

CHOSEN_BY = "SELECT {value}, count(*) FROM rows JOIN chosen USING (n) GROUP BY 1 ORDER BY 2 DESC, 1"
"""Rows of the snapshot by a value of theirs, the most frequent first."""

LICENCE = "json_extract(row, '$.licence')"
IS_DERIVED = "json_extract(row, '$.parent') != ''"

FETCHED = """
SELECT min(json_extract(row, '$.fetched_at')), max(json_extract(row, '$.fetched_at'))
FROM rows JOIN chosen USING (n) WHERE json_extract(row, '$.fetched_at') != ''
"""
"""When the first and the last row of the snapshot were fetched."""

LOST = 0.2
"""Share of a source's records that is lost, from which on the card warns."""


NO_LIMIT = 2**40


class Lengths:
    """Counts rows that are longer than `model.max_length` in the model's own tokens: the trainer drops them."""

    def __init__(self, tokenizer: Any, model: Model) -> None:
        """Raises `ChatTemplateMissing` or `EndTokenMissing`."""
        self.tokenizer, self.most, self.form = tokenizer, model.max_length, model.form
        turn_end(tokenizer, self.form)

    @classmethod
    def of(cls, base: str | None, model: Model) -> Lengths | None:
        """By the tokenizer of a base model; None if it is not on this machine, or the library that reads it."""
        folder = Path(base or "")
        if base is None or not (folder / "tokenizer.json").is_file():
            return None
        try:
            # The length limit of a tokenizer is a warning on standard error, and longer rows are what is counted here.
            return cls(load_tokenizer(folder, model_max_length=NO_LIMIT), model)
        except ModuleNotFoundError:
            return None  # transformers is part of the extra `trainer`, which data can do without
        except (ModelDamaged, ChatTemplateMissing, EndTokenMissing):
            return None  # the training job refuses the base by name

    def too_long(self, row: Row) -> bool:
        """Whether the trainer drops a row with its worked steps: it asks in the campaign's form, as evaluation does.

        It learns a plain text of any length, in pieces.
        """
        if not row.prompt and not row.messages:
            return False
        turns = json.loads(row.messages) if row.messages else []
        last = max((at for at, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
        question = turns[:last] if last else row.prompt
        completion = turns[last]["content"] if last else row.completion(traced=True)
        return self._tokens(question, completion) > self.most

    def _tokens(self, question: Question, completion: str) -> int:
        """Tokens of a question and its answer, which is encoded in its place unless that changes the question's."""
        end = len(turn_end(self.tokenizer, self.form if question else Prompt()))
        if self.form.chat:
            asked = question_ids(question, self.form, self.tokenizer) if question else []
            return len(asked) + len(encode(self.tokenizer, completion, special=False)) + end
        text = plain_question(question, self.form) if question else ""
        asked, whole = (encode(self.tokenizer, one, special=True) for one in (text, text + completion))
        if whole[: len(asked)] == asked:
            return len(whole) + end
        return len(asked) + len(encode(self.tokenizer, completion, special=False)) + end


@dataclass(frozen=True)
class CardInput:
    """The facts of a card."""

    campaign: Campaign
    round: int
    snapshot: Snapshot
    at: Collecting
    harvest: Harvest
    """With the rows of the snapshot chosen."""
    lengths: Lengths | None

    @property
    def rule(self) -> DataRule:
        """The campaign's rule."""
        rule = self.campaign.constitution.data
        assert rule is not None
        return rule

    def query(self, statement: str, *values: int) -> list[tuple[Any, ...]]:
        """Rows of a statement on the harvest's file."""
        return self.harvest.db.execute(statement, values).fetchall()


def card(facts: CardInput) -> str:
    """The card."""
    title = f"# Data card: {facts.campaign.name}, round {facts.round}"
    snapshot, rows = facts.snapshot.snapshot, _n(sum(facts.snapshot.rows.values()))
    first, last = facts.query(FETCHED)[0]
    fetched = f"Fetched from {_safe(first)} to {_safe(last)}." if first else "No row was fetched."
    summary = f"Snapshot `{snapshot}`: {rows} rows, campaign seed {facts.campaign.seed}. {fetched}"
    sections = (_sources, _losses, _this_round, _dropped, _examples, _skipped, _domains, _licences, _checks, _lineage)
    return "\n\n".join([title, summary, *(text for section in sections for text in section(facts))]) + "\n"


def _sources(facts: CardInput) -> Iterator[str]:
    yield "## Sources"
    yield (
        "Since the campaign began. Seen = skipped + rows; rows = dropped + left out + in the snapshot. "
        "Variants count as rows of their source."
    )
    kinds = {spec.name: spec.kind for spec in facts.rule.sources}
    rows = []
    for counts in facts.snapshot.yields:
        left = sum(n for reason, n in counts.dropped.items() if reason.startswith(BALANCE))
        skipped, dropped = sum(counts.skipped.values()), sum(counts.dropped.values()) - left
        numbers = (counts.made + skipped, skipped, counts.made, dropped, left, counts.kept)
        rows.append([counts.source, kinds.get(counts.source, "generated"), counts.domain, *map(_n, numbers)])
    yield _table(
        ["source", "kind", "domain", "seen", "skipped", "rows", "dropped", "left out", "in the snapshot"], rows
    )


def _this_round(facts: CardInput) -> Iterator[str]:
    yield "## Added in this round"
    counts: Counter[tuple[str, str]] = Counter()
    for count in facts.harvest.counts():
        if count.round == facts.round:
            counts[count.source, count.kind] += count.n
    new_rows = dict(facts.query(NEW_ROWS, facts.round))
    rows = []
    for source in (spec.name for spec in facts.rule.sources):
        numbers = (new_rows.get(source, 0), counts[source, "dropped"], counts[source, "skipped"])
        rows.append([source, *map(_n, numbers)])
    yield _table(["source", "kept", "dropped", "skipped"], rows)


def _dropped(facts: CardInput) -> Iterator[str]:
    yield "## Rows dropped or left out"
    rows = [
        [counts.source, why, _n(n)] for counts in facts.snapshot.yields for why, n in sorted(counts.dropped.items())
    ]
    yield _table(["source", "filter/reason", "rows"], rows)


def _losses(facts: CardInput) -> Iterator[str]:
    """A warning for each source of which much is lost; what found no room is not lost."""
    for counts in facts.snapshot.yields:
        left = sum(n for reason, n in counts.dropped.items() if reason.startswith(BALANCE))
        lost = sum(counts.dropped.values()) - left + sum(counts.skipped.values())
        seen = counts.made + sum(counts.skipped.values())
        if seen and lost > LOST * seen:
            share = f"{_n(lost)} of {_n(seen)} records of {_safe(counts.source)} ({lost / seen:.0%})"
            yield f"**Warning:** {share} gave no row."


def _examples(facts: CardInput) -> Iterator[str]:
    """The first dropped rows of this round by source and reason, shortened and without personal data."""
    yield "## Dropped in this round, for example"
    counts: Counter[tuple[str, str]] = Counter()
    rows = []
    for drop in facts.harvest.drops():
        key = drop["source"], f"{drop['filter']}/{drop['reason']}"
        counts[key] += 1
        if counts[key] <= EXAMPLES:
            hidden = "not shown" if drop["filter"] in UNSHOWN else ""
            rows.append([*key, hidden or drop["excerpt"], drop["detail"]])
    yield _table(["source", "filter/reason", "text", "detail"], sorted(rows, key=lambda row: (row[0], row[1])))


def _skipped(facts: CardInput) -> Iterator[str]:
    yield "## Input that gave no row"
    rows = [
        [counts.source, why, _n(n)] for counts in facts.snapshot.yields for why, n in sorted(counts.skipped.items())
    ]
    yield _table(["source", "reason", "times"], rows)
    if examples := [list(example.values()) for example in facts.harvest.skips()]:
        yield "In this round, for example:"
        yield _table(["source", "reason", "place", "text"], examples)


def _domains(facts: CardInput) -> Iterator[str]:
    yield "## Domains"
    if facts.lengths:
        long = Counter(row.domain for row in chosen(facts.harvest) if facts.lengths.too_long(row))
        yield (
            f"Too long: collected rows of more than {facts.lengths.most} tokens; the trainer drops them. It cuts plain "
            "texts into pieces instead."
        )
    else:
        long = None
        yield (
            "The number of rows too long for the trainer, which drops them, is unknown: the base model's tokenizer is "
            "not on this machine."
        )
    rows = [
        [domain, _n(n), _n(facts.snapshot.tokens[domain]), _n(long[domain]) if long is not None else "unknown"]
        for domain, n in facts.snapshot.rows.items()
    ]
    yield _table(["domain", "rows", "characters", "too long"], rows)


def _licences(facts: CardInput) -> Iterator[str]:
    yield "## Licences of the collected rows"
    rows = [[licence or "not stated", _n(n)] for licence, n in facts.query(CHOSEN_BY.format(value=LICENCE))]
    yield _table(["licence", "rows"], rows)


def _checks(facts: CardInput) -> Iterator[str]:
    rule, filters = facts.rule, facts.rule.filters
    yield "## Checks"
    fingerprints = facts.at.fingerprints
    sealed = f"compared with the fingerprints `{fingerprints.sha256}`" if fingerprints else "not compared"
    derived = sum(n for is_derived, n in facts.query(CHOSEN_BY.format(value=IS_DERIVED)) if is_derived)
    yield "\n".join(
        [
            f"- Answers: {_judges(facts)} must accept them; worked steps that can be computed must be right.",
            *([] if filters.questions else ["- Rows with a question: not judged by the next three filters."]),
            f"- Languages: {', '.join(filters.languages) or 'any'}; words: {filters.min_words} to {filters.max_words}.",
            f"- Quality: {', '.join(filters.quality) or 'no filter'}.",
            f"- Personal data: {filters.pii}.",
            f"- Instructions for harm: {filters.safety}.",
            *(
                f"- Classifier {one.name}: `{one.sha256}`, drops {', '.join(map(_safe, one.drop))}."
                for one in filters.classifiers
            ),
            *(f"- Filter of another package: {one.kind}." for one in filters.plugins),
            f"- Near-duplicates: similarity from {filters.near_duplicate:g}, within and across rounds.",
            f"- Sealed sets: {sealed}.",
            f"- Derived rows (variants, sampled answers): {_n(derived)}.",
            f"- At most {_n(rule.rows)} collected rows, split by the policy's mix.",
        ]
    )


def _judges(facts: CardInput) -> str:
    suites = ", ".join(suite.name for suite in facts.campaign.constitution.suites)
    return f"the scorers of the suites {suites}" if suites else "the challenge's scorer"


def _lineage(facts: CardInput) -> Iterator[str]:
    yield "## Weights that wrote rows"
    if not facts.snapshot.lineage:
        yield "None."
        return
    rows = [[one.source, one.model, one.candidate, one.sha256] for one in facts.snapshot.lineage]
    yield _table(["source", "allowed by the constitution", "checkpoint", "hash"], rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(map(_safe, row))} |" for row in rows]
    if not body:
        return "None."
    return "\n".join([f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *body])


def _safe(text: str) -> str:
    """A foreign text on one line, shortened, and with Markdown and HTML escaped."""
    plain = " ".join(text.split())
    return SPECIAL.sub(r"\\\1", plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}...")


def _n(number: int) -> str:
    return f"{number:,}"
