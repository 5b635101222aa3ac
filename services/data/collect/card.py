"""The data card of a snapshot, in Markdown: where every row came from, and what became of those that are not in it.

Nothing in it is estimated: per source, what was seen = skipped + dropped + left out + in the snapshot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas.campaign import Campaign
from schemas.sources import DataRule
from services.data.collect.harvest import Harvest
from services.data.collect.mix import BALANCE, chosen
from services.data.job import Collecting, Snapshot
from services.data.tokens import Lengths

SHOWN = 120
"""Characters of a text that somebody else wrote, such as a licence."""

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")

OF_ROWS = """
SELECT {what}, count(*) FROM rows JOIN chosen USING (n) GROUP BY 1 ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True)
class Told:
    """What a card is written from."""

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


def card(told: Told) -> str:
    """The card."""
    title = f"# Data card: {told.campaign.name}, round {told.round}"
    snapshot, rows = told.snapshot.snapshot, _n(sum(told.snapshot.rows.values()))
    facts = f"Snapshot `{snapshot}`: {rows} rows, by the campaign's seed {told.campaign.seed}. {_fetched(told)}"
    sections = (_sources, _this_round, _dropped, _skipped, _domains, _licences, _checks, _lineage)
    return "\n\n".join([title, facts, *(text for section in sections for text in section(told))]) + "\n"


def _sources(told: Told) -> Iterator[str]:
    yield "## Where the rows come from"
    yield (
        "Since the campaign began. Seen = skipped + rows; rows = dropped + left out + in the snapshot. "
        "Variants are among the rows of their source."
    )
    kinds = {spec.name: spec.kind for spec in told.rule.sources}
    rows = []
    for gave in told.snapshot.yields:
        left = sum(n for reason, n in gave.dropped.items() if reason.startswith(BALANCE))
        skipped = sum(gave.skipped.values())
        fates = (gave.made + skipped, skipped, gave.made, sum(gave.dropped.values()) - left, left, gave.kept)
        rows.append([gave.source, kinds.get(gave.source, "drawn"), gave.domain, *map(_n, fates)])
    yield _table(
        ["source", "kind", "domain", "seen", "skipped", "rows", "dropped", "left out", "in the snapshot"], rows
    )


def _this_round(told: Told) -> Iterator[str]:
    yield "## What this round added"
    counts: Counter[tuple[str, str]] = Counter()
    for count in told.harvest.counts():
        if count.round == told.round:
            counts[count.source, count.kind] += count.n
    kept = dict(_grouped(told, "SELECT source, count(*) FROM rows WHERE round = ? GROUP BY 1", told.round))
    rows = [
        [
            spec.name,
            *(_n(n) for n in (kept.get(spec.name, 0), counts[spec.name, "dropped"], counts[spec.name, "skipped"])),
        ]
        for spec in told.rule.sources
    ]
    yield _table(["source", "kept", "dropped", "skipped"], rows)


def _dropped(told: Told) -> Iterator[str]:
    yield "## Why rows were dropped or left out"
    rows = [[gave.source, why, _n(n)] for gave in told.snapshot.yields for why, n in sorted(gave.dropped.items())]
    yield _table(["source", "filter/reason", "rows"], rows)


def _skipped(told: Told) -> Iterator[str]:
    yield "## What sources refused or passed over"
    rows = [[gave.source, why, _n(n)] for gave in told.snapshot.yields for why, n in sorted(gave.skipped.items())]
    yield _table(["source", "reason", "times"], rows)


def _domains(told: Told) -> Iterator[str]:
    yield "## Domains"
    if told.lengths:
        long = Counter(row.domain for row in chosen(told.harvest) if told.lengths.too_long(row))
        yield f"Too long: collected rows of more than {told.lengths.most} tokens, which the trainer drops."
    else:
        long = None
        yield (
            "How many rows are too long for the trainer, which drops them, was not counted: the tokenizer of the base "
            "model is not on this machine."
        )
    rows = [
        [domain, _n(n), _n(told.snapshot.tokens[domain]), _n(long[domain]) if long is not None else "unknown"]
        for domain, n in told.snapshot.rows.items()
    ]
    yield _table(["domain", "rows", "characters", "too long"], rows)


def _licences(told: Told) -> Iterator[str]:
    yield "## Licences of the collected rows"
    found = _grouped(told, OF_ROWS.format(what="json_extract(row, '$.licence')"))
    yield _table(["licence", "rows"], [[licence or "not stated", _n(n)] for licence, n in found])


def _checks(told: Told) -> Iterator[str]:
    rule, filters = told.rule, told.rule.filters
    yield "## Checks"
    sealed = (
        f"compared with the fingerprints `{told.at.fingerprints.sha256}`" if told.at.fingerprints else "not compared"
    )
    variants = sum(n for made, n in _grouped(told, OF_ROWS.format(what="json_extract(row, '$.parent') != ''")) if made)
    yield "\n".join(
        [
            "- Answers: the challenge's scorer must accept them; worked steps that can be computed must hold.",
            f"- Languages: {', '.join(filters.languages) or 'any'}; words: {filters.min_words} to {filters.max_words}.",
            f"- Quality: {', '.join(filters.quality) or 'no filter'}.",
            f"- Personal data: {filters.pii}; what helps to hurt people: {filters.safety}.",
            *(
                f"- Classifier {one.name}: `{one.sha256}`, drops {', '.join(map(_safe, one.drop))}."
                for one in filters.classifiers
            ),
            f"- Near-duplicates: similarity from {filters.near_duplicate:g}, within and across rounds.",
            f"- Sealed sets: {sealed}.",
            f"- Rows made from another (variants, sampled answers): {_n(variants)}.",
            f"- At most {_n(rule.rows)} collected rows, shared out by the policy's mix.",
        ]
    )


def _lineage(told: Told) -> Iterator[str]:
    yield "## Whose weights wrote rows"
    if not told.snapshot.lineage:
        yield "Nobody's."
        return
    rows = [[one.source, one.model, one.candidate, one.sha256] for one in told.snapshot.lineage]
    yield _table(["source", "the constitution allows", "checkpoint", "hash"], rows)


def _fetched(told: Told) -> str:
    when = "json_extract(row, '$.fetched_at')"
    query = f"SELECT min({when}), max({when}) FROM rows JOIN chosen USING (n) WHERE {when} != ''"  # noqa: S608  # constants
    first, last = told.harvest.db.execute(query).fetchone()
    return f"Fetched from {_safe(first)} to {_safe(last)}." if first else "Nothing of it was fetched."


def _grouped(told: Told, query: str, *given: int) -> list[tuple[str, int]]:
    return told.harvest.db.execute(query, given).fetchall()


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(map(_safe, row))} |" for row in rows]
    if not body:
        return "None."
    return "\n".join([f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *body])


def _safe(text: str) -> str:
    """A text as it stands, whoever wrote it: on one line, bounded, and without a meaning in Markdown or HTML."""
    plain = " ".join(text.split())
    return SPECIAL.sub(r"\\\1", plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}...")


def _n(number: int) -> str:
    return f"{number:,}"
