"""Services whose clocks are an hour wrong: deadlines are those of the database's clock, the campaign is the same."""

from __future__ import annotations

from pathlib import Path

from eventstore.store import EventStore
from tests.brokers import broker
from tests.cluster import Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.skew import wrong_clock
from tests.told import told
from tests.unit.loopworld import campaign

MORE_THAN_AN_HOUR = 3900
"""Past the deadlines of data (5 min), of a candidate (30 min) and of the board (an hour); and Apache Kafka refuses
messages that are stamped more than an hour ahead."""

WRONG = {"data": 1, "recipes": -1, "trainer": 1, "oracle": 1, "policy": 1}
SMALL = campaign(rounds=2, candidates=3)


async def test_services_with_wrong_clocks_decide_the_same(database: str, tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as its_broker:
        cluster = Cluster(tmp_path / "cluster", database, PASSWORDS, its_broker)
        async with await cluster.console() as store:
            try:
                cluster.start()
                await finish(cluster, store, "right")
                cluster.stop()
                for service, sign in WRONG.items():
                    cluster.start(service, **wrong_clock(tmp_path, sign * MORE_THAN_AN_HOUR))
                await finish(cluster, store, "wrong")
            finally:
                cluster.stop()
            assert told(await log_of(store, "wrong")) == told(await log_of(store, "right"))


async def finish(cluster: Cluster, store: EventStore, name: str) -> None:
    await cluster.begin(store, name, SMALL)
    await until(store, name, lambda history: history.finished is not None)
