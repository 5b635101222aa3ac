"""`aevolve model export`: what the log names, and nothing else, as a plain model and as a submission."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from schemas.envelope import campaign_stream, candidate_stream
from schemas.events import CampaignFinished, CampaignStarted, CheckpointTrained
from schemas.policy import Estimate
from schemas.scores import Cost
from services.console.cli import app
from services.console.embedded.base_model import substrate
from tests.trained import make_inputs, make_job, quiet
from tests.unit.console_events import BASIS, CAMPAIGN, Log


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    """A campaign that trained an adapter (r1s0), the winner, and all weights (r1s1)."""
    folder = tmp_path_factory.mktemp("made")
    inputs = make_inputs(folder)
    log, base = Log(), substrate(Path(inputs["base"]))
    law = log.campaign.constitution_sha256
    log.say(
        campaign_stream(CAMPAIGN),
        CampaignStarted(campaign=log.campaign, constitution_sha256=law, substrate=base),
    )
    log.policy(1)
    recipes: list[dict[str, Any]] = [{"lr": 2e-2, "steps": 30}, {"adapter": "full", "lr": 1e-3}]
    for slot, recipe in enumerate(recipes):
        log.propose(1, slot, log.campaign.recipe)
        trained = quiet(make_job(folder / f"r1s{slot}", inputs, **recipe))
        told = {name: getattr(trained, name) for name in ("uri", "sha256", "coverage", "loss", "form")}
        event = CheckpointTrained(candidate=f"r1s{slot}", attempt=1, cost=Cost(), **told)
        log.say(candidate_stream(CAMPAIGN, f"r1s{slot}"), event)
    unfinished = folder / "unfinished.jsonl"
    unfinished.write_text("".join(f"{envelope.model_dump_json()}\n" for envelope in log.envelopes))
    gain = Estimate(mean=0.1, sd=0.1)
    log.say(campaign_stream(CAMPAIGN), CampaignFinished(winner="r1s0", gain=gain, why="it is", basis=BASIS))
    file = folder / "log.jsonl"
    file.write_text("".join(f"{envelope.model_dump_json()}\n" for envelope in log.envelopes))
    return SimpleNamespace(file=file, unfinished=unfinished, base=Path(inputs["base"]), folder=folder)


def call(made, *arguments: str, file: Path | None = None):
    return CliRunner().invoke(app, ["model", "export", CAMPAIGN, "--file", str(file or made.file), *arguments])


def answers(model, folder: Path) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = tokenizer(["XIV =\n", "3 units\n", "VII + I\n"], return_tensors="pt", padding=True)
    return tokenizer.batch_decode(model.eval().generate(**asked, max_new_tokens=12, do_sample=False))


def test_the_winner_becomes_a_plain_model_that_answers_as_base_and_adapter(made, tmp_path) -> None:
    out = tmp_path / "models" / "winner"
    done = call(made, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert f"{out}: r1s0 as a plain model" in done.output
    beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(made.base), made.folder / "r1s0" / "out")
    merged = AutoModelForCausalLM.from_pretrained(out)
    assert answers(merged, out) == answers(beside, made.base)
    assert answers(merged, out) != answers(AutoModelForCausalLM.from_pretrained(made.base), made.base)
    assert not list(out.glob("adapter*"))
    told = json.loads((out / "aevolve.json").read_text())
    assert (told["campaign"], told["candidate"]) == (CAMPAIGN, "r1s0")
    assert [place.name for place in out.parent.iterdir()] == ["winner"]


def test_all_weights_are_exported_as_they_were_trained(made, tmp_path) -> None:
    assert call(made, "--candidate", "r1s1", "--out", str(tmp_path / "m")).exit_code == 0
    trained, found = (
        AutoModelForCausalLM.from_pretrained(folder) for folder in (made.folder / "r1s1" / "out", tmp_path / "m")
    )
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), found.parameters(), strict=True))


def test_the_submission_holds_the_adapter_s_two_files(made, tmp_path) -> None:
    package = tmp_path / "submission.zip"
    assert call(made, "--zip", str(package)).exit_code == 0
    with zipfile.ZipFile(package) as archive:
        assert archive.namelist() == ["adapter_config.json", "adapter_model.safetensors"]
    assert [place.name for place in tmp_path.iterdir()] == ["submission.zip"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a folder with --out, a submission with --zip, or both"),
        (["--candidate", "r9s9", "--out", "m"], "'r9s9' has no checkpoint in this campaign"),
        (["--candidate", "base", "--out", "m"], "the base model lies in"),
        (["--candidate", "r1s1", "--zip", "s.zip"], "r1s1 was trained in full; a board accepts only an adapter"),
        (["--zip", "s.zip", "--max-rank", "2"], "the target takes 2 at most"),
        (["--out", "."], "exists; remove it or name another"),
    ],
)
def test_what_cannot_be_exported_is_said(made, arguments, words, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(made, *arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert not list(tmp_path.iterdir())


def test_without_a_winner_a_candidate_must_be_named(made, tmp_path) -> None:
    done = call(made, "--out", str(tmp_path / "m"), file=made.unfinished)
    assert (done.exit_code, "no winner yet" in done.output) == (2, True)


@pytest.mark.parametrize("changed", ["r1s0/out/adapter_config.json", "base/config.json"])
def test_what_is_not_what_the_log_names_is_not_exported(made, tmp_path, changed) -> None:
    file = made.folder / changed
    before = file.read_text()
    file.write_text(f"{before} ")
    try:
        done = call(made, "--out", str(tmp_path / "m"))
    finally:
        file.write_text(before)
    assert done.exit_code == 2
    assert not (tmp_path / "m").exists()
