"""A whole campaign whose scores a vLLM server computes: the one that the oracle starts, and an operator's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.oracle.engines.client import Client
from services.oracle.engines.remote import wait_until_ready
from services.oracle.job import EngineUse
from tests.processes import processes, until

CAMPAIGN = """
name: served
recipe: {steps: 20, batch: 16, traces: 1.0}
constitution:
  rounds: 1
  candidates: 2
  max_changes: 2
  evaluation:
    dev: {items: 5}
    confirm: {items: 5}
    external: {items: 5, difficulty: [1, 2, 0], wordings: [0, 1, 1]}
    final: {items: 5, difficulty: [1, 2, 0], wordings: [0, 1, 1]}
  budget: {external_queries: 3}
  space:
    - {knob: steps, values: [20, 40], scale: log}
    - {knob: rank, values: [8, 16], scale: log}
"""


def run(folder: Path, **variables: str) -> list[dict[str, Any]]:
    """The log of the campaign."""
    file, out = folder / "served.yaml", folder / "run"
    file.write_text(CAMPAIGN)
    command = [sys.executable, "-m", "services.console", "run", str(file), "--out", str(out)]
    with (folder / "out").open("wb") as output:
        ended = subprocess.run(command, env={**os.environ, **variables}, stdout=output, stderr=output, check=False)
    assert ended.returncode == 0, (folder / "out").read_text()
    until(lambda: not processes(out))
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def engines(log: list[dict[str, Any]]) -> set[str]:
    """The engines of all stamps."""
    return {event["data"]["stamp"]["engine"] for event in log if event["type"] == "ScoresReported"}


def scored(log: list[dict[str, Any]]) -> set[str]:
    return {event["data"]["candidate"] for event in log if event["type"] == "ScoresReported"}


def test_a_campaign_is_measured_by_the_oracles_own_server(tmp_path: Path, base: Path) -> None:
    log = run(tmp_path, AEVOLVE_ENGINE="vllm")
    assert scored(log) == {"base", "r1s0", "r1s1"}
    (engine,) = engines(log)
    assert engine.startswith("vllm 0.30.0, profile plain, 64 at a time, memory ")
    assert not [event for event in log if event["type"] == "EvaluationFailed"]
    kinds = {event["data"]["kind"] for event in log if event["type"] == "ScoresReported"}
    assert kinds == {"dev", "confirm", "external", "final"}


def test_a_campaign_is_measured_by_an_operators_server(tmp_path: Path, operators: EngineUse) -> None:
    assert operators.key_file
    wait_until_ready(Client(operators), operators)
    log = run(
        tmp_path,
        AEVOLVE_ENGINE="remote",
        AEVOLVE_ENGINE_URL=operators.url,
        AEVOLVE_ENGINE_KEY_FILE=operators.key_file,
        AEVOLVE_ENGINE_SECONDS="300",
    )
    assert scored(log) == {"base", "r1s0", "r1s1"}
    assert engines(log) == {"vllm 0.30.0, profile plain, 64 at a time, remote"}
