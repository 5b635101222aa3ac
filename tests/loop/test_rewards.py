"""A recipe that learns from rewards, through the whole loop: an adapter and a whole model, scored and exported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tests.processes import processes

CAMPAIGN = Path(__file__).with_name("grpo.yaml")


def aevolve(*arguments):
    command = [sys.executable, "-m", "services.console", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards") / "run"
    done = aevolve("demo", "--out", folder, "--campaign", CAMPAIGN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not processes(folder)
    return folder


def events(folder, type_):
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [event["data"] for event in map(json.loads, lines) if event["type"] == type_]


def test_both_forms_are_trained_by_rewards_and_measured(run):
    trained = {event["candidate"]: event for event in events(run, "CheckpointTrained")}
    assert sorted(event.get("form", "adapter") for event in trained.values()) == ["adapter", "full"]
    assert all(0 < event["reward"] < 1 for event in trained.values())
    assert not events(run, "TrainingFailed")
    scored = {event["candidate"] for event in events(run, "ScoresReported") if event["kind"] == "dev"}
    assert scored == {"base", *trained}
    assert events(run, "CampaignFinished")


@pytest.mark.parametrize("form", ["adapter", "full"])
def test_each_is_exported_as_a_plain_model(run, form, tmp_path):
    event = next(e for e in events(run, "CheckpointTrained") if e.get("form", "adapter") == form)
    (started,) = events(run, "CampaignStarted")
    campaign = json.loads((run / "log.jsonl").read_text().splitlines()[0])["correlationid"]
    out = tmp_path / "model"
    done = aevolve("model", "export", campaign, "--candidate", event["candidate"], "--out", out, "--run", run)
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(out)
    assert sum(weight.numel() for weight in model.parameters()) == started["substrate"]["active_parameters"]
