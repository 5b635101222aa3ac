"""`aevolve tasks` says before a campaign what would be asked, or why it cannot be."""

from __future__ import annotations

import datasets
import pytest
from typer.testing import CliRunner

from services.console.cli import app
from tests.unit.console_events import DEMO
from tests.unit.task_files import CHOICE, WRITTEN, write_task


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The command on the demo's file with further keys of the constitution."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write_task(tmp_path / "tasks", "Sums", CHOICE)
    write_task(tmp_path / "tasks", "program", WRITTEN, unsafe_code=True)

    def run(keys: str = ""):
        file = tmp_path / "campaign.yaml"
        keys = keys.replace("HERE", str(tmp_path / "tasks"))
        file.write_text(DEMO.read_text().replace("constitution:\n", f"constitution:\n  {keys}\n", 1))
        return CliRunner().invoke(app, ["tasks", str(file)])

    return run


def test_every_task_is_told_with_its_items(call) -> None:
    target = "target: {kind: tasks, include: HERE, limit: 3, tasks: [{task: Sums, metric: acc}]}"
    guard = "guards: [{name: g, include: HERE, bound: 0.1, tasks: [{task: Sums, metric: acc}]}]"
    result = call(f"{target}\n  {guard}")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "target (external): Sums 1.0, acc, 3 items, 0 solved examples",
        "guard g: Sums 1.0, acc, 4 items, 0 solved examples",
    ]


@pytest.mark.parametrize(
    ("task", "words"),
    [("Sumz", "'Sumz' is neither in the folder"), ("program", "'program' runs code that the model wrote")],
)
def test_what_would_be_refused_in_the_campaign_is_refused_here(call, task, words) -> None:
    metric = "exact_match" if task == "program" else "acc"
    result = call(f"guards: [{{name: g, include: HERE, bound: 0.1, tasks: [{{task: {task}, metric: {metric}}}]}}]")
    assert result.exit_code == 2
    assert f"guard g: tasks: {words}" in result.output


def test_a_campaign_without_tasks_says_so(call) -> None:
    assert "names no tasks" in call().output
