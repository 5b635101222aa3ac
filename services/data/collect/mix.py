"""Chooses the collected rows of a snapshot: the policy's mix splits them over the domains, newest rows first.

Within a domain the sources take turns, so a large one does not crowd out a small one; `cap` limits each. Of a source
with several domains, the domains take turns within its cap.
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
DROP TABLE IF EXISTS usable;
"""
"""The chosen rows, and each source's cap and its place in the campaign file; both empty."""

ADD_CAP = "INSERT INTO caps VALUES (?, ?, ?)"

MAKE_USABLE = """
CREATE TEMP TABLE usable AS
SELECT n, domain, turn, place FROM (
  SELECT n, domain, source, turn, row_number() OVER (PARTITION BY source ORDER BY turn, domain) AS of_source FROM (
    SELECT n, domain, source, row_number() OVER (PARTITION BY source, domain ORDER BY round DESC, n) AS turn FROM rows))
JOIN caps USING (source) WHERE of_source <= cap
"""
"""The rows within the caps of their sources, each with its turn among its source's rows of the domain."""

USABLE = "SELECT domain, count(*) FROM usable GROUP BY 1"
"""Rows of each domain within the caps of its sources."""

CHOOSE = "INSERT INTO chosen SELECT n FROM usable WHERE domain = ? ORDER BY turn, place LIMIT ?"
"""The rows of a domain by turns: each source's first, each source's second, and so on, in the campaign file's order."""

CHOSEN = "SELECT row FROM rows JOIN chosen USING (n) ORDER BY domain, n"

ORIGINS = "SELECT DISTINCT source, json_extract(row, '$.uri') FROM rows JOIN chosen USING (n) ORDER BY 1, 2"
"""Every source and origin of chosen rows."""

BY_SOURCE = "SELECT source, count(*), count(chosen.n) FROM rows LEFT JOIN chosen USING (n) GROUP BY 1 ORDER BY 1"
"""Kept rows and chosen rows of each source."""

FILLED = "SELECT max(coalesce(json_extract(row, '$.{}'), '') != '') FROM rows JOIN chosen USING (n)"
"""Whether a chosen row fills a field."""

DOMAINS = "SELECT domain, count(*) FROM rows GROUP BY 1"
"""Kept rows of each domain."""

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
    kept: Mapping[str, int] = field(default_factory=dict)
    """Rows of every source that passed the checks, in the snapshot or left out."""
    domains: Mapping[str, int] = field(default_factory=dict)
    """Rows of every domain that passed the checks, in the snapshot or left out."""


def choose(harvest: Harvest, rule: DataRule, shares: Mapping[str, float]) -> Choice:
    """Mark the rows of a snapshot in the harvest's file; `chosen` reads them."""
    db = harvest.db
    db.executescript(TABLES)
    caps = {source.name: source.cap or NO_CAP for source in rule.sources}
    db.executemany(ADD_CAP, [(name, cap, place) for place, (name, cap) in enumerate(caps.items())])
    db.execute(MAKE_USABLE)
    for domain, rows in quotas(dict(db.execute(USABLE).fetchall()), shares, rule.rows).items():
        db.execute(CHOOSE, (domain, rows))
    row_counts, left, kept = {}, {}, {}
    for source, total, chosen_rows in db.execute(BY_SOURCE).fetchall():
        over = max(0, total - caps.get(source, 0))
        out = {f"{BALANCE}/cap": over, f"{BALANCE}/share": total - chosen_rows - over}
        row_counts[source], left[source] = chosen_rows, {reason: n for reason, n in out.items() if n}
        kept[source] = total
    return Choice(row_counts, left, kept, dict(db.execute(DOMAINS).fetchall()))


def filled(harvest: Harvest, fields: Sequence[str]) -> list[str]:
    """Which of these text fields some chosen row fills."""
    return [name for name in fields if harvest.db.execute(FILLED.format(name)).fetchone()[0]]


def quotas(usable: Mapping[str, int], shares: Mapping[str, float], rows: int) -> dict[str, int]:
    """Rows of each domain: its share of `rows`; what a small domain cannot fill goes to the others by their shares.

    A share of less than a row is one row, unless there are fewer rows than domains.

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
    room = rows - sum(final.values())
    for domain in sorted((domain for domain, n in final.items() if not n), key=lambda domain: -shares[domain]):
        largest = max(final, key=lambda one: final[one])
        if room <= 0 and final[largest] <= 1:
            break
        if room <= 0:
            final[largest] -= 1
        room, final[domain] = room - 1, 1
    return final


def chosen(harvest: Harvest) -> Iterator[Row]:
    """The chosen rows, by domain and in harvest order."""
    return (Row(**json.loads(text)) for (text,) in harvest.db.execute(CHOSEN))


def writers(harvest: Harvest, sources: Sequence[str]) -> list[tuple[str, str]]:
    """(source, origin) of every origin of these sources' chosen rows."""
    return [origin for origin in harvest.db.execute(ORIGINS) if origin[0] in sources]
