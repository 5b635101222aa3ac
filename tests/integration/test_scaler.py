"""What KEDA asks the log's database: the query of the manifest, as the role that it is given."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
import yaml

from eventstore.effect import Effect, Work
from eventstore.migrate import provision
from eventstore.store import EventStore
from services.console.commands import migrate
from services.trainer.orders import QUEUE
from tests.conftest import PASSWORDS, create_database
from tests.integration.test_eventstore_plans import FILL, planned
from tests.work_for_tests import started_event

MANIFEST = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base" / "trainer-jobs.yaml"
PASSWORD = "secret of scaler"


@pytest.fixture(scope="module")
def query() -> str:
    (trigger,) = yaml.safe_load(MANIFEST.read_text())["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


def as_scaler(owner: str) -> str:
    return re.sub(r"//.*@", f"//aevolve_scaler:{quote(PASSWORD)}@", owner)


@pytest.fixture
async def scaler(database: str) -> asyncpg.Connection:
    await provision(database, {"scaler": PASSWORD})
    connection = await asyncpg.connect(as_scaler(database))
    yield connection
    await connection.close()


async def put(store: EventStore, queue: str, *keys: str) -> None:
    (cause,) = await store.append([started_event(queue, 1)])
    await store.handle(f"{queue}{keys}", cause, Effect(work=tuple(Work(queue, key, "w", {}) for key in keys)))


async def test_it_counts_the_jobs_that_wait_or_run_and_no_others(trainer, scaler, query) -> None:
    assert await scaler.fetchval(query) == 0
    await put(trainer, QUEUE, "1", "2", "3")
    await put(trainer, "another", "1")
    assert await scaler.fetchval(query) == 3
    first = await trainer.lease(QUEUE, "w", timedelta(seconds=60))
    assert await scaler.fetchval(query) == 3  # its pod runs, and is taken off the number
    await trainer.finish(first, Effect())
    second = await trainer.lease(QUEUE, "w", timedelta(seconds=60))
    await trainer.fail(second, Effect(), None)
    assert await scaler.fetchval(query) == 1


async def test_a_job_whose_pod_died_stays_in_the_number(trainer, scaler, query) -> None:
    await put(trainer, QUEUE, "doomed")
    before = await scaler.fetchval(query)
    while await trainer.lease(QUEUE, "w", timedelta(0)) is None:
        pass
    assert await scaler.fetchval(query) == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM aevolve.events",
        "SELECT payload FROM aevolve.work",
        "SELECT * FROM aevolve.log_head",
        "UPDATE aevolve.work SET state = 'done'",
        "DELETE FROM aevolve.work",
        "INSERT INTO aevolve.inbox VALUES ('x', gen_random_uuid())",
    ],
)
async def test_the_role_can_do_nothing_else(scaler, statement) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scaler.execute(statement)


async def test_the_query_reads_the_open_jobs_alone(postgres, migrated, query) -> None:
    dsn = await create_database(postgres, "scaler_plans", migrated)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "aevolve"})
    await connection.execute(FILL)
    await connection.execute("ANALYZE")
    plan = await planned(connection, query)
    await connection.close()
    assert "Seq Scan" not in {node["Node Type"] for node in plan}
    indexes = {node["Index Name"] for node in plan if "Index Name" in node}
    assert indexes
    assert indexes <= {"work_next", "work_open_campaign"}  # both hold open jobs alone


async def test_a_role_that_only_reads_logs_in_where_its_password_is_given(postgres, tmp_path, capsys, query) -> None:
    owner = await create_database(postgres, "scaler_prepared")
    for service, known in {**PASSWORDS, "scaler": PASSWORD}.items():
        (tmp_path / service).write_text(known)
    await migrate.migrate(owner, tmp_path)
    connection = await asyncpg.connect(as_scaler(owner))
    assert await connection.fetchval(query) == 0
    await connection.close()
