"""A whole system whose jobs take a second: broker, five services with stubs for the long jobs, and the page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.console.paths import DEMO_CAMPAIGN
from tests.brokers import EMBEDDED, Broker, broker
from tests.cluster import Cluster
from tests.conftest import PASSWORDS
from tests.console_process import Console, console


@dataclass
class System:
    """What runs."""

    page: Console
    """The page."""
    broker: Broker
    """The broker."""
    file: Path
    """A campaign file as a person would choose it."""


@asynccontextmanager
async def system(dsn: str, folder: Path, rounds: int, **variables: str) -> AsyncIterator[System]:
    """The system on a database; a campaign of its file has so many rounds of four candidates."""
    with broker(folder / "broker") as its_broker:
        known = {"AEVOLVE_KAFKA": its_broker.address, "AEVOLVE_EMBEDDED": str(EMBEDDED), **variables}
        cluster = Cluster(folder, dsn, PASSWORDS, its_broker, STUB_SECONDS="1", AEVOLVE_WORKERS="2", **variables)
        cluster.start()
        try:
            async with console(dsn, folder, 0, AEVOLVE_ARTIFACTS=str(folder / "artifacts"), **known) as page:
                yield System(page, its_broker, campaign_file(folder, cluster.base, rounds))
        finally:
            cluster.stop()


def campaign_file(folder: Path, base: Path, rounds: int) -> Path:
    """The demo's campaign on a base that is there already, without the minute that its threshold is simulated in."""
    text = DEMO_CAMPAIGN.read_text().replace("base: tiny ", f"base: {base} ")
    text = re.sub(r"^name: .*$", "name: watched", text, flags=re.MULTILINE)
    text = re.sub(r"^( +)rounds: .*$", rf"\1rounds: {rounds}", text, flags=re.MULTILINE)
    file = folder / "watched.yaml"
    file.write_text(re.sub(r" +false_alarms:.*\n", "", text))
    return file
