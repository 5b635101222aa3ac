"""Chooses the collected rows of a snapshot: the policy's mix splits them over the domains, newest rows first.

Within a domain the sources take turns, so a large one does not crowd out a small one; `cap` limits each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.rows import Row
from schemas.sources import DataRule
from services.data.collect.harvest import Harvest

TABLES = """
CREATE TEMP TABLE IF NOT EXISTS chosen (n INTEGER PRIMARY KEY);
DELETE FROM chosen;
CREATE TEMP TABLE IF NOT EXISTS caps (source TEXT PRIMARY KEY, cap INTEGER, place INTEGER);
DELETE FROM caps;
"""
"""The chosen rows, and each source's cap and its place in the campaign file; both empty."""

ADD_CAP = "INSERT INTO caps VALUES (?, ?, ?)"

USABLE = """
SELECT domain, sum(min(held, cap))
FROM (SELECT domain, source, count(*) AS held FROM rows GROUP BY 1, 2) JOIN caps USING (source) GROUP BY 1
"""
"""Rows of each domain within the caps of its sources."""

CHOOSE = """
INSERT INTO chosen
SELECT n FROM (
  SELECT n, source, row_number() OVER (PARTITION BY source ORDER BY round DESC, n) AS turn
  FROM rows WHERE domain = ?)
JOIN caps USING (source) WHERE turn <= cap ORDER BY turn, place LIMIT ?
"""
"""The rows of a domain by turns: each source's first, each source's second, and so on, in the campaign file's order."""

CHOSEN = "SELECT row FROM rows JOIN chosen USING (n) ORDER BY domain, n"

ORIGINS = "SELECT DISTINCT source, json_extract(row, '$.uri') FROM rows JOIN chosen USING (n) ORDER BY 1, 2"
"""Every source and origin of chosen rows."""

BY_SOURCE = "SELECT source, count(*), count(chosen.n) FROM rows LEFT JOIN chosen USING (n) GROUP BY 1 ORDER BY 1"
"""Kept rows and chosen rows of each source."""

NO_CAP = 2**62

BALANCE = "balance"
"""Filter name under which rows are counted that passed every check but found no room."""


@dataclass(frozen=True)
class Choice:
    """The numbers of a choice, by source."""

    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows in the snapshot."""
    left: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows left out: `balance/cap` over the source's cap, `balance/share` over the domain's share."""


def choose(harvest: Harvest, rule: DataRule, shares: Mapping[str, float]) -> Choice:
    """Mark the rows of a snapshot in the harvest's file; `chosen` reads them."""
    db = harvest.db
    db.executescript(TABLES)
    caps = {source.name: source.cap or NO_CAP for source in rule.sources}
    db.executemany(ADD_CAP, [(name, cap, place) for place, (name, cap) in enumerate(caps.items())])
    for domain, rows in quotas(dict(db.execute(USABLE).fetchall()), shares, rule.rows).items():
        db.execute(CHOOSE, (domain, rows))
    row_counts, left = {}, {}
    for source, total, chosen_rows in db.execute(BY_SOURCE).fetchall():
        over = max(0, total - caps.get(source, 0))
        out = {f"{BALANCE}/cap": over, f"{BALANCE}/share": total - chosen_rows - over}
        row_counts[source], left[source] = chosen_rows, {reason: n for reason, n in out.items() if n}
    return Choice(row_counts, left)


def quotas(usable: Mapping[str, int], shares: Mapping[str, float], rows: int) -> dict[str, int]:
    """Rows of each domain: its share of `rows`; what a small domain cannot fill goes to the others by their shares.

    >>> quotas({"web": 10, "books": 1000}, {"web": 0.5, "books": 0.5}, 100)
    {'web': 10, 'books': 90}
    """
    final: dict[str, int] = {}
    open_ = {domain: shares.get(domain, 0.0) for domain in usable if usable[domain] and shares.get(domain, 0.0) > 0}
    while open_:
        rest, total = rows - sum(final.values()), sum(open_.values())
        quota = {domain: int(rest * share / total) for domain, share in open_.items()}
        full = {domain: usable[domain] for domain in quota if usable[domain] <= quota[domain]}
        final |= full or quota
        open_ = {domain: share for domain, share in open_.items() if full and domain not in full}
    return final


def chosen(harvest: Harvest) -> Iterator[Row]:
    """The chosen rows, by domain and in harvest order."""
    return (Row(**json.loads(text)) for (text,) in harvest.db.execute(CHOSEN))


def writers(harvest: Harvest, sources: Sequence[str]) -> list[tuple[str, str]]:
    """(source, origin) of every origin of these sources' chosen rows."""
    return [origin for origin in harvest.db.execute(ORIGINS) if origin[0] in sources]
