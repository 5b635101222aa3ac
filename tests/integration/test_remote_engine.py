"""Candidates of a real log, measured by a server: each has its score or its failure, whatever befalls the others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from eventstore.effect import Append, Effect, Work
from schemas.campaign import Evaluation, ItemSet
from schemas.events import CampaignStarted, CheckpointTrained
from schemas.evidence import Coverage
from schemas.scores import Cost
from services.console.embedded.base_model import substrate
from services.oracle.engines.vllm import served_name
from services.oracle.score_job import SCORING
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.settings import Settings
from services.runtime.storage.hashing import hash_folder
from tests.background import running
from tests.cluster import log_of
from tests.engine_server import Model, serving
from tests.processes import PATIENCE
from tests.tiny_models import DOMAINS, make_adapter, make_model
from tests.unit.loopworld import campaign


def told(events):
    return [
        (e.event.candidate, getattr(e.event, "error", "scored"), getattr(e.event, "terminal", True))
        for e in events
        if e.type in ("ScoresReported", "EvaluationFailed")
    ]


def trained(candidate, folder):
    coverage = Coverage(modules={"q_proj": 1}, trainable=1, moved=1)
    about = {"attempt": 1, "loss": 1.0, "cost": Cost(), "coverage": coverage}
    event = CheckpointTrained(candidate=candidate, uri=str(folder), sha256=hash_folder(folder), **about)
    return event.model_dump(mode="json")


async def test_a_server_that_stumbles_and_a_bad_adapter_cost_the_other_candidates_nothing(stores, tmp_path) -> None:
    console, oracle = await stores("console"), await stores("oracle")
    base = make_model(tmp_path / "base")
    facts = substrate(base)
    sets = Evaluation(**dict.fromkeys(("dev", "confirm", "external", "final"), ItemSet(items=2)))
    asked = campaign(evaluation=sets, domains=DOMAINS, space=campaign().constitution.space[:1])
    begun = CampaignStarted(campaign=asked, constitution_sha256=asked.constitution_sha256, substrate=facts)
    (cause,) = await console.append([Append("engines", "engines", begun, expected=0)])
    other = make_model(tmp_path / "other", width=64)
    adapters = {"r1s0": make_adapter(other, tmp_path / "bad", 0), "r1s1": make_adapter(base, tmp_path / "good", 1)}
    works = tuple(
        Work(
            queue=SCORING.queue,
            key=f"engines/{candidate}/dev",
            campaign="engines",
            payload={
                "candidate": candidate,
                "kinds": ["dev"],
                "round": 1,
                "checkpoint": trained(candidate, folder) if folder else None,
                "substrate": facts.model_dump(mode="json"),
                "campaign": asked.model_dump(mode="json"),
            },
            attempts=2,
        )
        for candidate, folder in (("base", None), *adapters.items())
    )
    await oracle.handle("queue", cause, Effect(work=works))
    (tmp_path / "key").write_bytes(b"0123456789abcdef")
    with serving(Model(str(base), served_name(facts.base_sha256)), "stumbles") as server:
        places = {"work": tmp_path / "work", "artifacts": str(tmp_path / "artifacts"), "engine_url": server.url}
        settings = Settings(engine="remote", oracle_key_file=tmp_path / "key", **places)
        kind = replace(SCORING, works_of=None)  # no event of this log owes the jobs
        async with running(Worker(kind, oracle, JobRunner(["services.oracle.evaluate"]), settings, "me").work()):
            async with asyncio.timeout(PATIENCE):
                while len(said := told(await log_of(console, "engines"))) < 4:
                    await asyncio.sleep(0.2)
    assert sorted(said) == [
        ("base", "EngineGarbled", False),
        ("base", "scored", True),
        ("r1s0", "AdapterRefused", True),
        ("r1s1", "scored", True),
    ]
