"""A campaign whose only source cannot be read ends after the data deadline and says why; nothing tries for ever."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from audit.projections import check
from audit.replay import replay
from schemas.base import canonical_json
from schemas.campaign import Campaign
from tests.brokers import broker
from tests.cluster import Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.unit.loopworld import campaign

SECONDS = 3.0


def unreadable(folder: Path) -> Campaign:
    """A campaign with one source, a file that is not there."""
    asked = json.loads(canonical_json(campaign(rounds=1)))
    source = {
        "kind": "files",
        "name": "notes",
        "domain": "web",
        "paths": [str(folder / "no.jsonl")],
        "licence": "CC0-1.0",
    }
    asked["constitution"]["data"] = {"sources": [source], "filters": {"decontaminate": False, "quality": []}}
    asked["constitution"]["budget"]["data_seconds"] = SECONDS
    return Campaign.model_validate(asked)


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
async def test_it_ends_with_the_failure_in_the_log(
    database: str, tmp_path: Path, owner: asyncpg.Connection, restart: bool
) -> None:
    id_ = f"starved-{restart}".lower()
    with broker(tmp_path / "broker") as its_broker:
        cluster = Cluster(tmp_path, database, PASSWORDS, its_broker, STUB_REAL="data")
        cluster.start("data", "policy")
        try:
            async with await cluster.console() as console:
                await cluster.begin(console, id_, unreadable(tmp_path))
                if restart:
                    await until(console, id_, lambda history: history.policy is not None)
                    await asyncio.sleep(1)
                    for name in ("data", "policy"):
                        cluster.kill(name)
                    cluster.start("data", "policy")
                history = await until(console, id_, lambda history: history.finished is not None)
                assert history.finished is not None
                assert history.finished.reason == "no data"
                failure = history.data_failures[1]
                assert failure.error == "SourceFailed"
                assert "no.jsonl" in failure.message
                assert history.spent.seconds > 0
                envelopes = await log_of(console, id_)
                assert [event.type for event in envelopes].count("DataFailed") == 1
                assert all(again.identical for again in replay(envelopes))
                assert await owner.fetchval("SELECT state FROM work WHERE campaign = $1", id_) == "failed"
                assert (await check(console)).deviations == []
        finally:
            cluster.stop()
