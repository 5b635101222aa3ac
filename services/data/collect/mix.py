"""Which collected rows a snapshot holds: shared out over the domains by the policy's mix, the newest of each source.

Within a domain the sources take turns, so that a large one does not crowd out a small one; `cap` bounds each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.rows import Row
from schemas.sources import DataRule
from services.data.collect.harvest import Harvest

TURNS = """
INSERT INTO chosen
SELECT n FROM (
  SELECT n, source, row_number() OVER (PARTITION BY source ORDER BY round DESC, n) AS turn
  FROM rows WHERE domain = ?)
JOIN caps USING (source) WHERE turn <= cap ORDER BY turn, place LIMIT ?
"""
"""The rows of a domain by turns: each source's first, each source's second, and so on, in the campaign file's order."""

NO_CAP = 2**62

BALANCE = "balance"
"""Under which name rows are counted that nothing is wrong with, and for which there is no room."""


@dataclass(frozen=True)
class Choice:
    """What was chosen of a harvest, by source."""

    kept: Mapping[str, int] = field(default_factory=dict)
    """Rows in the snapshot."""
    left: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows that stay out: `balance/cap` over the source's cap, `balance/share` over the domain's share."""


def choose(harvest: Harvest, rule: DataRule, shares: Mapping[str, float]) -> Choice:
    """Mark the rows of a snapshot in the harvest's file, for `chosen` to read."""
    db = harvest.db
    db.executescript(
        "CREATE TEMP TABLE IF NOT EXISTS chosen (n INTEGER PRIMARY KEY); DELETE FROM chosen;"
        "CREATE TEMP TABLE IF NOT EXISTS caps (source TEXT PRIMARY KEY, cap INTEGER, place INTEGER); DELETE FROM caps;"
    )
    caps = [(source.name, source.cap or NO_CAP, place) for place, source in enumerate(rule.sources)]
    db.executemany("INSERT INTO caps VALUES (?, ?, ?)", caps)
    usable = dict(
        db.execute(
            "SELECT domain, sum(min(held, cap)) FROM (SELECT domain, source, count(*) AS held FROM rows GROUP BY 1, 2) "
            "JOIN caps USING (source) GROUP BY 1"
        ).fetchall()
    )
    for domain, rows in quotas(usable, shares, rule.rows).items():
        db.execute(TURNS, (domain, rows))
    return Choice(*_told(harvest, {name: cap for name, cap, _ in caps}))


def quotas(usable: Mapping[str, int], shares: Mapping[str, float], rows: int) -> dict[str, int]:
    """Rows of each domain: its share of all, where it has so many; what it lacks goes to the others by their shares.

    >>> quotas({"web": 10, "books": 1000}, {"web": 0.5, "books": 0.5}, 100)
    {'web': 10, 'books': 90}
    """
    given: dict[str, int] = {}
    waiting = {domain: shares.get(domain, 0.0) for domain in usable if usable[domain] and shares.get(domain, 0.0) > 0}
    while waiting:
        left, total = rows - sum(given.values()), sum(waiting.values())
        wanted = {domain: int(left * share / total) for domain, share in waiting.items()}
        full = {domain: usable[domain] for domain in wanted if usable[domain] <= wanted[domain]}
        given |= full or wanted
        waiting = {domain: share for domain, share in waiting.items() if full and domain not in full}
    return given


def chosen(harvest: Harvest) -> Iterator[Row]:
    """The chosen rows, by domain and in the order in which they were harvested."""
    query = "SELECT row FROM rows JOIN chosen USING (n) ORDER BY domain, n"
    return (Row(**json.loads(text)) for (text,) in harvest.db.execute(query))


def writers(harvest: Harvest, sources: Sequence[str]) -> list[tuple[str, str]]:
    """(source, place) of every place that chosen rows of these sources come from."""
    query = "SELECT DISTINCT source, json_extract(row, '$.uri') FROM rows JOIN chosen USING (n) ORDER BY 1, 2"
    return [found for found in harvest.db.execute(query) if found[0] in sources]


def _told(harvest: Harvest, caps: Mapping[str, int]) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    query = "SELECT source, count(*), count(chosen.n) FROM rows LEFT JOIN chosen USING (n) GROUP BY 1 ORDER BY 1"
    kept, left = {}, {}
    for source, held, taken in harvest.db.execute(query).fetchall():
        over = max(0, held - caps.get(source, 0))
        out = {f"{BALANCE}/cap": over, f"{BALANCE}/share": held - taken - over}
        kept[source], left[source] = taken, {reason: n for reason, n in out.items() if n}
    return kept, left
