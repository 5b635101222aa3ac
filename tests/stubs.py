"""Jobs of a few milliseconds in place of training and measuring: the small world answers from the recipe."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from schemas.base import canonical_json, digest
from schemas.evidence import Coverage, Yield
from schemas.recipe import Recipe
from schemas.scores import Stamp
from services.data.core import plan
from services.data.job import Snapshot
from services.oracle import receipts
from services.oracle.adapters import adapter
from services.oracle.job import Evaluated, Measured
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_file, hash_folder
from services.trainer.job import TargetModuleMissing, Trained
from tests.adapters import make_adapter
from tests.unit.loopworld import World

SECONDS = float(os.environ.get("STUB_SECONDS", "0"))
"""How long a training job takes, for tests that want to interrupt it."""


LINGER = float(os.environ.get("STUB_LINGER", "0"))
"""How long a training job goes on after its adapter is written, for tests that want to kill it in between."""

SCRATCH = os.environ.get("STUB_SCRATCH")
"""Folder on whose file `volume` a training job writes, for tests that want to fill its disk."""


def make(job, report):
    rows = dict.fromkeys(job.campaign.constitution.domains, 10)
    told = {"seed": job.campaign.seed, "round": job.round}
    name, uri = digest(told), artifacts.join(job.out, digest(told))
    artifacts.write_once(uri, canonical_json(told).encode)
    planned = plan(job.policy, job.campaign, job.round).rows
    yields = tuple(
        Yield(source="puzzles", domain=domain, made=n, kept=10, dropped={"stub": n - 10})
        for domain, n in planned.items()
    )
    return Snapshot(snapshot=name, uri=uri, rows=rows, tokens=rows, yields=yields, seconds=0, device_seconds=0)


def train(job, report):
    if "no_such_layer" in job.recipe.target_modules:
        raise TargetModuleMissing("target_modules: 'no_such_layer' is not in the model; name one that is")
    artifacts.fetch(job.snapshot, job.snapshot_sha256, hash_file, Path(job.copies)).read_bytes()
    report({"step": 1, "steps": job.recipe.steps, "loss": 1.0})
    time.sleep(SECONDS)
    if SCRATCH:
        Path(SCRATCH, "volume").write_bytes(bytes(4096))
    with artifacts.create(job.out, Path(job.work)) as out:
        make_adapter(out, rank=job.recipe.rank, recipe=job.recipe.model_dump(mode="json"), seed=job.seed)
        sha256 = hash_folder(out)
    time.sleep(LINGER)
    tokens = job.recipe.steps * job.recipe.batch
    return Trained(
        candidate=job.candidate,
        uri=job.out,
        sha256=sha256,
        coverage=Coverage(modules={"q_proj": 1}, trainable=1, moved=1),
        loss=1.0,
        tokens=tokens,
        too_long=0,
        resumed_from=0,
        seconds=SECONDS,
        device_seconds=0.0,
    )


def score(job, report):
    folder = adapter(job.adapter, job.sha256, Path(job.copies))
    trained = json.loads((folder / "adapter_config.json").read_text()) if folder else None
    recipe = Recipe.model_validate(trained["recipe"]) if trained else None
    return Evaluated(
        candidate=job.candidate,
        measured=tuple(_measured(job, sealed.kind, recipe, trained["seed"] if trained else 0) for sealed in job.sets),
    )


def _measured(job, kind, recipe, seed):
    world = World(null=os.environ.get("STUB_NULL") == "1")
    return Measured(
        kind=kind,
        scores=world.scores(job.candidate, recipe, kind, run=seed),
        receipt=receipts.keep(canonical_json([job.candidate, kind]).encode(), job.out, ".jsonl"),
        stamp=Stamp(
            engine="stub", harness="stub", max_new_tokens=1, max_length=64, template_sha256="0" * 64, precision="none"
        ),
        tokens=100,
        seconds=0.0,
        device_seconds=0.0,
    )
