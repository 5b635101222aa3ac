"""A target behind a board, with a real log and a real board: outages, and processes that die."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventstore.effect import Append
from judgement.history import fold
from schemas.campaign import Budget, Substrate
from schemas.events import CampaignStarted
from schemas.targets import BoardTarget
from services.oracle.boards.job import ASKING, key_of
from services.oracle.steps import measure_base
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.settings import Settings
from services.runtime.storage.hashing import hash_folder
from tests.adapters import make_base
from tests.background import running
from tests.board_server import Board, serving
from tests.cluster import log_of, until
from tests.conftest import PASSWORDS
from tests.unit.loopworld import campaign


@pytest.fixture
def board():
    with serving(Board()) as its_board:
        yield its_board


@pytest.fixture(scope="module")
def runner() -> JobRunner:
    return JobRunner(["services.oracle.boards.ask"])


def against(board: Board, rounds: int = 3, board_seconds: float = 60, **target):
    """A campaign whose target is the board."""
    budget = Budget(external_queries=9, external_per_round=2, confirm_per_round=2, board_seconds=board_seconds)
    where = BoardTarget(**{"url": board.url, "items": 600, "poll_seconds": 0.2, **target})
    return campaign(rounds=rounds, budget=budget, target=where)


async def query_of_the_base(console, oracle, id_: str, board: Board, folder: Path, **target) -> str:
    """Start a campaign and queue its first query; the key of it."""
    base = make_base(folder / "base")
    of = against(board, **target)
    facts = {"base_sha256": hash_folder(base), "code_sha256": "1" * 64, "base_uri": str(base)}
    begun = CampaignStarted(
        campaign=of,
        constitution_sha256=of.constitution_sha256,
        substrate=Substrate(**facts, active_parameters=1),
    )
    (cause,) = await console.append([Append(id_, id_, begun, expected=0)])
    effect = measure_base(fold(id_, await log_of(console, id_)), datetime.now(UTC))
    await oracle.handle(f"oracle {id_}", cause, effect)
    return key_of(id_, "base", "external")


def working(oracle, runner: JobRunner, folder: Path, lease: float = 0.6):
    settings = Settings(lease_seconds=lease, work=folder / "work", artifacts=str(folder / "artifacts"))
    return running(Worker(ASKING, oracle, runner, settings, "me").work())


def external(history):
    return "external" in history.base.scores


def failures(events):
    return [(e.event.error, e.event.attempt, e.event.terminal) for e in events if e.type == "EvaluationFailed"]


async def test_a_worker_that_is_killed_between_sending_and_recording_submits_nothing_twice(
    stores, runner, board, tmp_path, database
):
    console, oracle = await stores("console"), await stores("oracle")
    board.broken = [None, "hold"]
    key = await query_of_the_base(console, oracle, "killed", board, tmp_path)
    script = f"""
        import asyncio
        from pathlib import Path
        from eventstore.store import EventStore
        from services.oracle.boards.job import ASKING
        from services.runtime.jobs.runner import JobRunner
        from services.runtime.settings import Settings
        from services.runtime.jobs.worker import Worker
        async def work():
            store = await EventStore.open({database!r}, service="oracle", password={PASSWORDS["oracle"]!r})
            settings = Settings(lease_seconds=1, work=Path({str(tmp_path)!r}), artifacts={str(tmp_path)!r})
            await Worker(ASKING, store, JobRunner([]), settings, "doomed").work()
        if __name__ == "__main__":
            asyncio.run(work())
    """
    doomed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        while key not in board.held:  # the board has it, and its answer is on the way
            await asyncio.sleep(0.05)
    finally:
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
    board.release.set()
    async with working(oracle, runner, tmp_path):
        history = await until(console, "killed", external)
    assert board.requests == [f"GET {key}", f"PUT {key}", f"GET {key}"]
    assert history.reserved("external") == 1
    assert [e.type for e in await log_of(console, "killed")].count("ScoresReported") == 1


async def test_a_board_that_is_out_for_a_while_is_asked_until_it_is_back(stores, runner, board, tmp_path):
    console, oracle = await stores("console"), await stores("oracle")
    board.broken = [503, b"<html>", None, 502]
    await query_of_the_base(console, oracle, "outage", board, tmp_path)
    async with working(oracle, runner, tmp_path):
        history = await until(console, "outage", external)
    said = failures(await log_of(console, "outage"))
    assert said == [("BoardUnreachable", 1, False), ("BoardGarbled", 2, False), ("BoardUnreachable", 3, False)]
    assert history.reserved("external") == 1


@pytest.mark.parametrize(
    ("trouble", "error", "tries"),
    [
        ({"broken": [503] * 9}, "BoardUnreachable", 2),
        ({"rejects": "no"}, "BoardRefused", 1),
        ({"score": lambda _: {"score": 7}}, "ScoreOutOfScale", 1),
    ],
    ids=["out for good", "rejected", "out of scale"],
)
async def test_a_query_without_a_score_fails_for_good_and_stays_charged(
    stores, runner, board, tmp_path, trouble, error, tries
):
    console, oracle = await stores("console"), await stores("oracle")
    id_ = f"failed-{error.lower()}"
    for name, value in trouble.items():
        setattr(board, name, value)
    await query_of_the_base(console, oracle, id_, board, tmp_path, tries=2)
    async with working(oracle, runner, tmp_path):
        history = await until(console, id_, lambda h: "external" in h.base.unmeasured)
    said = failures(await log_of(console, id_))
    assert [(name, last) for name, _, last in said] == [(error, n == tries) for n in range(1, tries + 1)]
    assert history.reserved("external") == 1


async def test_a_board_that_never_answers_is_given_up_and_holds_up_no_other_query(stores, runner, board, tmp_path):
    console, oracle = await stores("console"), await stores("oracle")
    board.delay = lambda s: float("inf") if s.campaign == "never" else 0.5
    await query_of_the_base(console, oracle, "never", board, tmp_path / "never", give_up_seconds=4)
    async with working(oracle, runner, tmp_path):
        await until(console, "never", lambda h: bool(board.held))
        await query_of_the_base(console, oracle, "other", board, tmp_path / "other")
        assert not (await until(console, "other", external)).base.unmeasured
        history = await until(console, "never", lambda h: "external" in h.base.unmeasured)
    assert history.base.unmeasured["external"] == "DeadlinePassed"
    (failed,) = [e.event for e in await log_of(console, "never") if e.type == "EvaluationFailed"]
    assert "raise target.give_up_seconds" in failed.message
