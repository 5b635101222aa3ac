"""Every statement of the store stands in a .sql file here, under a name and a description.

`-- name: x` begins a statement; it ends where the next begins. The comment lines after the name say what it does.
"""

from __future__ import annotations

import re
from importlib.resources import files

from eventstore.row import Row

NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(text: str) -> dict[str, str]:
    """The named statements of one file."""
    _, *parts = NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


PAGES = (
    *("read_log", "read_campaign", "read_stream", "log_before", "campaign_before", "stream_before"),
    *("recorded", "unhandled"),
)
"""The statements that read pages of events."""

PAGE_BYTES = 4_000_000
"""Payloads of a page, which ends with the event that reaches this. Whoever has a service's password can append events
of nearly 1 MB that take twenty times as much when parsed, and each service reads them again after each start."""


def bounded(statement: str) -> str:
    """A statement that selects events, cut after the one with which their payloads reach `PAGE_BYTES`."""
    return f"""WITH page AS ({statement})
SELECT {", ".join(Row._fields)}
FROM (SELECT *, sum(octet_length(data::text)) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM page) AS counted
WHERE before IS NULL OR before < {PAGE_BYTES}"""  # noqa: S608 - of constants


QUERIES: dict[str, str] = {
    name: bounded(statement) if name in PAGES else statement
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name)
    if file.name.endswith(".sql")
    for name, statement in load(file.read_text(encoding="utf-8")).items()
}
"""Every statement by name."""
