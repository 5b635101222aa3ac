"""The two ways of `docs/guides/operating.md` to keep a copy of the log: what was restored verifies, and goes on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.effect import Append
from eventstore.embedded import postgres as embedded
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate
from eventstore.store import EventStore
from services.console.embedded.system import clean_environment
from tests.conftest import PASSWORDS, create_database, in_database


def program(name: str, *arguments: str) -> None:
    """Run a program of the server's own wheel."""
    subprocess.run([embedded.programs() / name, *arguments], check=True, capture_output=True)


def as_console(owner: str) -> dict[str, str]:
    """The environment of the console beside a database."""
    address = re.sub(r"//.*@", "//", owner)
    return {"AEVOLVE_POSTGRES": address, "AEVOLVE_PASSWORD": PASSWORDS["console"]}


def aevolve(*arguments: str, owner: str) -> str:
    command = [sys.executable, "-m", "services.console", *arguments]
    environment = {**clean_environment(), **as_console(owner)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
async def log(postgres: EmbeddedPostgres, migrated: str, started, request) -> str:
    """The owner's address of a log with some events."""
    name = f"kept_{request.node.name[:40]}"
    owner = await create_database(postgres, name, migrated)
    async with await EventStore.open(owner, service="console", password=PASSWORDS["console"]) as store:
        await store.append([Append("c", "c", started)])
    return owner


async def goes_on(owner: str) -> None:
    """The chain holds, and the next event continues it."""
    async with await EventStore.open(owner, service="console", password=PASSWORDS["console"]) as store:
        before = await store.verify({})
        assert before.position == 1
    said = aevolve("pause", "c", owner=owner) + aevolve("verify", owner=owner)
    assert "2 events" in said


async def test_a_dump_that_was_restored_verifies_and_goes_on(postgres, log, tmp_path: Path) -> None:
    program("pg_dump", "--format=custom", f"--file={tmp_path / 'log.dump'}", log)
    await create_database(postgres, "restored_dump")
    restored = in_database(postgres.dsn, "restored_dump")
    program("pg_restore", "--exit-on-error", f"--dbname={restored}", str(tmp_path / "log.dump"))
    assert await migrate(restored) == []  # what had been applied came with it
    await goes_on(restored)


async def test_an_export_that_was_imported_verifies_and_goes_on(postgres, migrated, log, tmp_path: Path) -> None:
    aevolve("export", str(tmp_path / "log.jsonl"), owner=log)
    restored = await create_database(postgres, "restored_export", migrated)
    aevolve("import", str(tmp_path / "log.jsonl"), "--dsn", restored, owner=restored)
    await goes_on(restored)
