"""A row of a work queue, inserted with the service's own password, is carried out only if it is what the log owes.

The forged rows take the keys of honest jobs before the service queues those: nothing else would tell them apart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from eventstore.effect import Append, Work
from schemas.advisor import AdvisorRule
from schemas.campaign import Substrate
from schemas.envelope import Envelope, candidate_stream
from schemas.events import CampaignStarted
from schemas.scores import Cost
from services.data.app import SERVICE as DATA
from services.oracle.app import SERVICE as ORACLE
from services.policy.app import SERVICE as POLICY
from services.recipes.app import SERVICE as RECIPES
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.reactor import Reactor
from services.runtime.service import Service
from services.runtime.settings import Settings
from services.runtime.storage.hashing import hash_folder
from services.runtime.substrate import code_sha256
from services.trainer.app import SERVICE as TRAINER
from tests.adapters import make_base
from tests.advisors import endpoint
from tests.cluster import log_of
from tests.conftest import Stores
from tests.unit.loopworld import campaign

SERVICES = {service.name: service for service in (POLICY, DATA, RECIPES, TRAINER, ORACLE)}
STUBS = {"data": "tests.stubs:make", "train": "tests.stubs:train", "score": "tests.stubs:score"}
OUTSIDE, SHA = "file:/etc/passwd", "f" * 64
INSERT = """
INSERT INTO work (queue, key, campaign, payload, priority, attempts, deadline, cause)
VALUES ($1, $2, $3, $4, 0, $5, $6, $7)
"""

Forge = Callable[[dict[str, Any]], None]
"""Changes an order, as JSON."""


def put(*path: str, to: Any) -> Forge:
    """Sets one value of an order."""

    def change(order: dict[str, Any]) -> None:
        for name in path[:-1]:
            order = order[name]
        assert order[path[-1]] != to
        order[path[-1]] = to

    return change


@dataclass
class Loop:
    """The services in this process, one step at a time, on a real database; a job is a stub in a process of its own."""

    stores: Stores
    runner: JobRunner
    settings: Settings
    base: Path

    async def begin(self, name: str, base_uri: str = "", **law: Any) -> None:
        """Start a campaign whose first round is open."""
        started = campaign(**law)
        facts = Substrate(
            base_sha256=hash_folder(self.base),
            code_sha256=code_sha256(),
            base_uri=base_uri or str(self.base),
            active_parameters=1000,
        )
        event = CampaignStarted(campaign=started, constitution_sha256=started.constitution_sha256, substrate=facts)
        await (await self.stores("console")).append([Append(name, name, event, expected=0)])
        await self.react("policy")

    async def react(self, service: str) -> None:
        """The service handles what it has not handled: its jobs are queued."""
        assert await Reactor(SERVICES[service], await self.stores(service)).catch_up()

    async def work(self, service: str, queue: str = "") -> None:
        """Run the service's jobs of a queue until none waits."""
        kind = next(kind for kind in SERVICES[service].jobs if queue in ("", kind.queue))
        kind = replace(kind, function=STUBS.get(kind.queue, kind.function))
        worker = Worker(kind, await self.stores(service), self.runner, self.settings, "me")
        while await worker.take():
            pass

    async def due_works(self, service: Service, name: str) -> list[Work]:
        """The jobs that the service's reactor would queue now."""
        reactor = Reactor(service, await self.stores(service.name))
        steps = [step for steps in service.reactions.values() for step in steps]
        effect = await reactor.due(name, dict.fromkeys(steps), await reactor.clock.now())
        return [work for work in effect.work if work.campaign == name]

    async def insert(self, service: str, work: Work, forge: Forge, **columns: Any) -> None:
        """Queue a job with another order, as whoever has the service's password can."""
        order = json.loads(json.dumps(work.payload))
        forge(order)
        work = replace(work, **columns)
        values = (work.queue, work.key, work.campaign, json.dumps(order), work.attempts, work.deadline, work.cause)
        connection = await (await self.stores(service)).connect()
        try:
            await connection.execute(INSERT, *values)
        finally:
            await connection.close()

    async def events(self, name: str, *types: str) -> list[Envelope]:
        """The campaign's events of some types."""
        return [one for one in await log_of(await self.stores("console"), name) if one.type in types]


@pytest.fixture
async def loop(stores: Stores, tmp_path: Path) -> Loop:
    (tmp_path / "key").write_text("a key for tests only")
    settings = Settings(
        artifacts=str(tmp_path / "artifacts"),
        work=tmp_path / "work",
        oracle_key_file=tmp_path / "key",
        lease_seconds=30,
    )
    return Loop(stores, JobRunner(["tests.stubs"]), settings, make_base(tmp_path / "base"))


def same(order: dict[str, Any]) -> None:
    """Changes nothing."""


DATA_FORGERIES = {
    "seed": (put("campaign", "seed", to=99), {}),
    "round": (put("round", to=2), {}),
    "rows": (put("policy", "standing", "difficulty", to=[0.0, 0.0, 1.0]), {}),
    "position": (put("basis", "position", to=99_999), {}),
    "tries": (same, {"attempts": 1_000_000}),
    "order": (dict.clear, {}),
}


@pytest.mark.parametrize(("forge", "columns"), DATA_FORGERIES.values(), ids=DATA_FORGERIES)
async def test_no_other_data_is_drawn(loop: Loop, request, forge: Forge, columns: dict[str, Any]) -> None:
    name = f"data-{request.node.callspec.id}"
    await loop.begin(name)
    (honest,) = await loop.due_works(DATA, name)
    await loop.insert("data", honest, forge, **columns)
    await loop.react("data")  # its own row comes second
    await loop.work("data")
    (failed,) = await loop.events(name, "DataFailed", "DataBatchReady")
    assert (failed.event.round, failed.event.error, failed.event.cost) == (1, "OrderRefused", Cost())
    assert not (Path(loop.settings.artifacts) / "snapshots").exists()


async def with_candidates(loop: Loop, name: str, **law: Any) -> None:
    """A campaign whose first round's candidates are proposed."""
    await loop.begin(name, **law)
    await loop.react("data")
    await loop.work("data")
    await loop.react("recipes")


TRAIN_FORGERIES: dict[str, tuple[Forge, dict[str, Any]]] = {
    "base": (put("substrate", "base_uri", to=OUTSIDE), {}),
    "rows": (put("snapshot", to=SHA), {}),
    "path": (put("snapshot_uri", to=OUTSIDE), {}),
    "seed": (put("proposed", "seed", to=99), {}),
    "recipe": (put("proposed", "recipe", "steps", to=7), {}),
    "candidate": (put("proposed", "candidate", to="r9s9"), {}),
    "deadline": (same, {"deadline": None}),
    "cause": (same, {"cause": None}),
    "tries": (same, {"attempts": 1_000_000}),
}


async def test_no_other_candidate_is_trained_and_the_honest_ones_are(loop: Loop) -> None:
    await with_candidates(loop, "train", candidates=len(TRAIN_FORGERIES) + 2)
    works = await loop.due_works(TRAINER, "train")
    forged = dict(zip(TRAIN_FORGERIES, works, strict=False))
    for what, work in forged.items():
        forge, columns = TRAIN_FORGERIES[what]
        await loop.insert("trainer", work, forge, **columns)
    await loop.react("trainer")
    await loop.work("trainer")
    failed = {one.subject: one.event for one in await loop.events("train", "TrainingFailed")}
    assert failed.keys() == {work.key for work in forged.values()}
    for key, event in failed.items():
        assert candidate_stream("train", event.candidate) == key
        assert (event.error, event.terminal, event.cost) == ("OrderRefused", True, Cost())
    honest = {work.key for work in works} - failed.keys()
    assert len(honest) == 2
    assert {one.subject for one in await loop.events("train", "TrainingStarted")} == honest
    assert {one.subject for one in await loop.events("train", "CheckpointTrained")} == honest


async def test_a_job_that_no_step_queues_leaves_no_event(loop: Loop) -> None:
    """A recipe that was never proposed, a candidate of another campaign, a campaign that does not exist."""
    await with_candidates(loop, "known", candidates=2)
    await with_candidates(loop, "other", candidates=2)
    work, *_ = await loop.due_works(TRAINER, "known")
    unknown = {
        "known/r9s9": {"key": "known/r9s9"},
        "other/r1s0": {"key": "other/r1s0"},
        "none/r1s0": {"key": "none/r1s0", "campaign": "none"},
        "../r1s0": {"key": "../r1s0", "campaign": ".."},
    }
    before = len(await loop.events("known", "TrainingStarted", "TrainingFailed"))
    for columns in unknown.values():
        await loop.insert("trainer", work, same, **columns)
    await loop.work("trainer")
    assert len(await loop.events("known", "TrainingStarted", "TrainingFailed", "CheckpointTrained")) == before
    for name in ("other", "none", ".."):
        assert await loop.events(name, "TrainingStarted", "TrainingFailed", "CheckpointTrained") == []
    connection = await (await loop.stores("console")).connect()
    rows = await connection.fetch("SELECT key, state FROM work WHERE queue = 'train' AND key = ANY ($1)", [*unknown])
    await connection.close()
    assert {row["key"]: row["state"] for row in rows} == dict.fromkeys(unknown, "failed")


RULE = AdvisorRule(model="adviser", seconds=30, slots=1)
ADVICE_FORGERIES = {
    "model": put("advisor", "model", to="another"),
    "evidence": put("evidence", to={"secret": "of the trainer's disk"}),
    "changes": put("changes", to=["rank=1"]),
    "seed": put("basis", "seed", to=99),
    "round": put("round", to=2),
}


@pytest.mark.parametrize("forge", ADVICE_FORGERIES.values(), ids=ADVICE_FORGERIES)
async def test_no_other_question_is_asked(loop: Loop, request, forge: Forge) -> None:
    name = f"advise-{request.node.callspec.id}"
    with endpoint() as server:
        loop.settings = loop.settings.model_copy(update={"advisor_url": server.url})
        await loop.begin(name, advisor=RULE)
        await loop.react("data")
        await loop.work("data")
        (honest,) = await loop.due_works(RECIPES, name)
        await loop.insert("recipes", honest, forge)
        await loop.react("recipes")
        await loop.work("recipes")
        assert server.requests == []
        (failed,) = await loop.events(name, "AdvisorFailed", "AdvisorAnswered")
        assert (failed.event.round, failed.event.error, failed.event.cost) == (1, "OrderRefused", Cost())
        await loop.react("recipes")  # and the round goes on without advice
        assert len(await loop.events(name, "RecipeProposed")) == 5


async def test_an_honest_question_is_asked(loop: Loop) -> None:
    with endpoint() as server:
        loop.settings = loop.settings.model_copy(update={"advisor_url": server.url})
        await loop.begin("asks", advisor=RULE)
        await loop.react("data")
        await loop.work("data")
        await loop.react("recipes")
        await loop.work("recipes")
        assert len(server.requests) == 1
        assert len(await loop.events("asks", "AdvisorAnswered")) == 1


async def test_no_other_model_is_measured_and_no_row_spends_a_query(loop: Loop) -> None:
    await with_candidates(loop, "score", candidates=3)
    await loop.react("trainer")
    await loop.work("trainer")
    works = {work.key: work for work in await loop.due_works(ORACLE, "score") if work.payload["kinds"] == ["dev"]}
    first, second, honest = works.values()
    await loop.insert("oracle", first, put("checkpoint", "uri", to=OUTSIDE))
    await loop.insert("oracle", second, put("kinds", to=["external", "final"]))
    final = replace(honest, key=honest.key.replace("/dev", "/final"))
    await loop.insert("oracle", final, put("kinds", to=["final"]))
    await loop.react("oracle")
    await loop.work("oracle")
    failed = [
        (one.event.candidate, one.event.kind, one.event.error) for one in await loop.events("score", "EvaluationFailed")
    ]
    assert sorted(failed) == sorted((work.payload["candidate"], "dev", "OrderRefused") for work in (first, second))
    scored = [(one.event.candidate, one.event.kind) for one in await loop.events("score", "ScoresReported")]
    assert ("base", "external") in scored  # reserved by the oracle's own step
    assert [kind for candidate, kind in scored if candidate != "base"] == ["dev"]


async def test_a_try_after_a_crash_is_still_owed_when_the_campaign_has_gone_on(loop: Loop) -> None:
    await with_candidates(loop, "later", candidates=3)
    await loop.react("trainer")
    store = await loop.stores("trainer")
    lost = await store.lease("train", "doomed", timedelta(0))
    assert lost is not None
    await loop.work("trainer")
    trained = await loop.events("later", "CheckpointTrained")
    assert {one.event.candidate: one.event.attempt for one in trained}[lost.key.partition("/")[2]] == 2
    assert len(trained) == 3


async def test_a_base_that_no_path_can_name_fails_its_candidates_and_stops_no_worker(loop: Loop) -> None:
    """Whoever has the console's password can start such a campaign; the jobs of all the others would wait for ever."""
    await with_candidates(loop, "pathless", candidates=2, base_uri="x" * 5000)
    await with_candidates(loop, "sound", candidates=2)
    await loop.react("trainer")
    for _ in range(100):
        await loop.work("trainer")
        failed = [one.event.terminal for one in await loop.events("pathless", "TrainingFailed")]
        if failed.count(True) == 2:
            break
        await asyncio.sleep(0.2)
    assert failed == [False, False, True, True]
    assert len(await loop.events("sound", "CheckpointTrained")) == 2
