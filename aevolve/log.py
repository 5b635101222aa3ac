"""A log as Python objects, from a file, a run's folder or a database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from audit.recompute import Recomputed
from audit.replay import replay
from eventstore.integrity.chain import Chain, Head
from judgement.history import History, fold
from schemas.envelope import Envelope
from services.console.client import connected, settings_from_environment
from services.console.log_file import read_envelopes, read_rows
from services.console.log_source import COPY, of_campaign


@dataclass(frozen=True)
class Log:
    """The events of a log. A method without a campaign id takes the campaign that was started last."""

    envelopes: tuple[Envelope, ...]
    """Every event in log order; `envelope.event` is its payload as a model."""

    @property
    def campaigns(self) -> list[str]:
        """Campaign ids in the order of their start."""
        return list(dict.fromkeys(envelope.correlationid for envelope in self.envelopes))

    def events(self, campaign: str | None = None) -> list[Envelope]:
        """One campaign's events. Raises `UserError` for an unknown campaign."""
        return of_campaign(self.envelopes, campaign)

    def history(self, campaign: str | None = None) -> History:
        """One campaign's state: the fold of its events. Raises `UserError` for an unknown campaign."""
        events = self.events(campaign)
        return fold(events[0].correlationid, events)

    def replay(self, campaign: str | None = None) -> list[Recomputed]:
        """Every decision of one campaign, recomputed. Raises `UserError` for an unknown campaign."""
        return list(replay(self.events(campaign)))


def load(source: str | Path) -> Log:
    """Read a log: a file (`log.jsonl` or an export), a run's folder, or the DSN of a database.

    A database is read as the console's role, with the password of `AEVOLVE_PASSWORD` or `AEVOLVE_PASSWORD_FILE`.
    Raises `UserError`.
    """
    if _is_dsn(source):
        return Log(tuple(asyncio.run(_read(str(source)))))
    path = Path(source)
    return Log(tuple(read_envelopes(path / COPY if path.is_dir() else path)))


def verify(source: str | Path) -> Head:
    """Recompute the hash chain of an export or a database; its head. Raises `ChainBroken` or `UserError`."""
    if _is_dsn(source):
        return asyncio.run(_verify(str(source)))
    chain = Chain()
    for row in read_rows(Path(source)):
        chain.add(row)
    return chain.end()


def _is_dsn(source: str | Path) -> bool:
    return isinstance(source, str) and source.startswith(("postgresql://", "postgres://"))


async def _read(dsn: str) -> list[Envelope]:
    async with connected(settings_from_environment(postgres=dsn)) as store:
        return [envelope async for envelope in store.read()]


async def _verify(dsn: str) -> Head:
    async with connected(settings_from_environment(postgres=dsn)) as store:
        return await store.verify({})
