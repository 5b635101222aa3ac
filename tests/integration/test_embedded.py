"""The embedded servers: they serve, keep what they must, and never outlive who started them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from confluent_kafka import Consumer, Producer

from eventstore.embedded import broker as broker_module
from eventstore.embedded import postgres as postgres_module
from eventstore.embedded.broker import EmbeddedBroker
from eventstore.embedded.hosted import Hosted
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from eventstore.store import EventStore
from tests.conftest import PASSWORDS
from tests.processes import PATIENCE

PARENT = """
import json, pathlib, sys
from eventstore.embedded.broker import EmbeddedBroker
from eventstore.embedded.postgres import EmbeddedPostgres
from tests.processes import PATIENCE
started = [EmbeddedBroker().start(), EmbeddedPostgres(pathlib.Path(sys.argv[1])).start()]
print(json.dumps([*(one.pid for one in started), started[1].said["pid"]]), flush=True)
sys.stdin.read()
"""
"""Starts both servers, says their process ids, and waits."""


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for does not."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pids: list[int]) -> None:
    patience = time.monotonic() + PATIENCE
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < patience, f"still running: {left}"
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user may enter the folders of its own files")
def test_root_may_keep_the_programs_where_nobody_else_may_enter(tmp_path, monkeypatch):
    """As below a home folder of mode 0700, where root has cloned the repository."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    wheel = postgres_module.programs().parents[1]
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, private / part.name, symlinks=True)
    monkeypatch.setattr(postgres_module, "programs", lambda: private / wheel.name / "pginstall18" / "bin")
    with postgres_module.running(private / "data") as said:
        assert alive(said["pid"])


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that the tests use one after the other: making one takes longer than they do."""
    return Path(tmp_path_factory.mktemp("embedded")) / "pg"


async def test_postgres_is_durable_and_keeps_its_data(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        assert str(await query(server.dsn, "SHOW server_version")).startswith("18.")
        assert await query(server.dsn, "SHOW fsync") == "on"
        assert await query(server.dsn, "SHOW synchronous_commit") == "on"
        await query(server.dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(server.said["pid"], signal.SIGQUIT)  # an immediate end, without a checkpoint
        await_end([server.said["pid"]])
    with EmbeddedPostgres(folder) as server:
        assert await query(server.dsn, "SELECT n FROM kept") == 7


async def test_services_get_an_address_without_the_owners_password(postgres: EmbeddedPostgres) -> None:
    await migrate(postgres.dsn)
    await provision(postgres.dsn, {"data": "its own"})
    store = await EventStore.open(postgres.address, service="data", password="its own")
    assert await store.head() == 0
    await store.close()
    await provision(postgres.dsn, PASSWORDS)
    assert postgres.dsn.partition("@")[0].rpartition(":")[2] not in postgres.address


async def test_nobody_enters_without_a_password(postgres: EmbeddedPostgres) -> None:
    for user in ("aevolve", "aevolve_trainer"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host=postgres.host, user=user, database="postgres", password="guess")


def test_no_folder_above_the_data_changes_its_mode(folder: Path) -> None:
    folder.parent.chmod(0o700)
    with postgres_module.running(folder):
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "owner.password").stat().st_mode & 0o777 == 0o600


async def test_a_long_path_gets_its_socket_elsewhere_and_the_same_each_time(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    hosts = set()
    for _ in range(2):
        with postgres_module.running(folder) as said:
            assert not said["host"].startswith(str(folder))
            assert Path(said["host"]).stat().st_mode & 0o777 == 0o700
            assert await query(said["dsn"], "SELECT 1") == 1
        hosts.add(said["host"])
        assert not Path(said["host"]).exists()
    assert len(hosts) == 1


def test_a_short_folder_that_somebody_else_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = tmp_path / ("long" * 30)
    with postgres_module._socket_folder(folder) as name:
        pass
    (tmp_path / "elsewhere").mkdir()
    name.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match="belongs to somebody else"), postgres_module.running(folder):
        raise AssertionError("it ran")
    assert name.is_symlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_postgres_ends_with_its_host_and_starts_again(folder: Path, number: signal.Signals) -> None:
    server = EmbeddedPostgres(folder).start()
    pids = [server.pid, server.said["pid"]]
    os.kill(server.pid, number)
    with EmbeddedPostgres(folder) as again:
        assert await query(again.dsn, "SELECT 1") == 1
        await_end(pids)
    server.stop()


@pytest.mark.parametrize("ended", [True, False], ids=["ended meanwhile", "still runs"])
def test_a_leftover_that_cannot_be_stopped_is_an_error_only_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    told = {"status": [0, 3 if ended else 0], "stop": [1]}

    def control(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, told[command[-1]].pop(0), "", "no such process")

    monkeypatch.setattr(subprocess, "run", control)
    if ended:
        postgres_module._stop_leftover(tmp_path)
    else:
        with pytest.raises(RuntimeError, match="no such process"):
            postgres_module._stop_leftover(tmp_path)


def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "pg" / "data").mkdir(parents=True)
    (tmp_path / "pg" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(RuntimeError, match="did not start"):
        EmbeddedPostgres(tmp_path / "pg").start()
    with pytest.raises(RuntimeError, match="killed before it was ready"):
        Hosted("eventstore.no_such_module").start()


def test_a_message_goes_through_the_broker() -> None:
    with broker_module.running() as said:
        address = {"bootstrap.servers": said["address"]}
        producer = Producer(address)
        producer.produce("aevolve.Test", b"hello", key=b"k")
        assert producer.flush(20) == 0
        consumer = Consumer({**address, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["aevolve.Test"])
        message = consumer.poll(30)
        assert message is not None
        assert (message.key(), message.value()) == (b"k", b"hello")
        consumer.close()


def test_a_restarted_broker_is_another_one() -> None:
    broker = EmbeddedBroker().start()
    first, pid = broker.incarnation, broker.pid
    host, port = broker.address.split(":")
    socket.create_connection((host, int(port)), timeout=10).close()
    assert broker.running
    broker.stop()
    assert not broker.running
    assert not alive(pid)
    with broker:
        assert broker.incarnation != first


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_servers_end_with_their_parent(folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(folder)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = json.loads(parent.stdout.readline())
    assert all(alive(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait()
    await_end(pids)
