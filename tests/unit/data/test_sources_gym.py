"""reasoning-gym: verified tasks, other ones in each round, the same for the same seed."""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.rows import UNGRADED
from schemas.sources import GymSource
from services.data.sources import gym, registry
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext, SourceFailed
from tests.harvests import Harvest


def source(*tasks, round_=1, seed=0, rows=6):
    given = {"name": "gym", "domain": "sums", "tasks": tasks, "rows_per_round": rows}
    return make_source(GymSource.model_validate(given), RoundContext(round_, seed))


def test_a_round_shares_its_rows_out_and_each_has_its_own(monkeypatch):
    monkeypatch.setattr(gym, "STEP_TASKS", 2)
    harvest = Harvest()
    for round_ in (1, 2):
        for steps in (0, 1, 1, None):
            harvest.go_on(source("basic_arithmetic", "leg_counting", round_=round_, rows=7), steps)
    assert len(harvest.rows) == 14
    assert len({row.core for row in harvest.rows}) > 10
    assert [":basic_arithmetic/" in row.uri for row in harvest.rows] == ([True] * 4 + [False] * 3) * 2
    row = harvest.rows[0]
    assert (row.licence, row.difficulty, row.source, row.trace) == ("Apache-2.0", UNGRADED, "gym", "")
    assert row.prompt
    assert row.answer


def prompts(**more):
    return [row.prompt for row in Harvest().go_on(source("basic_arithmetic", **more)).rows]


def test_the_seed_and_the_round_decide_what_is_made():
    assert prompts() == prompts()
    assert prompts() != prompts(seed=1)
    assert prompts() != prompts(round_=2)


def test_what_its_own_score_does_not_accept_is_dropped(monkeypatch):
    import reasoning_gym

    made = reasoning_gym.create_dataset

    def sometimes_wrong(*args, **kwargs):
        tasks = made(*args, **kwargs)
        honest = type(tasks).score_answer
        monkeypatch.setattr(
            tasks, "score_answer", lambda answer, entry: honest(tasks, answer, entry) * (len(answer) % 2)
        )
        return tasks

    monkeypatch.setattr(reasoning_gym, "create_dataset", sometimes_wrong)
    harvest = Harvest().go_on(source("basic_arithmetic", rows=20))
    assert 0 < harvest.skipped["unverified"] == 20 - len(harvest.rows)
    assert all(len(row.answer) % 2 for row in harvest.rows)


def test_tasks_without_a_stated_answer_or_with_settings_of_their_own_are_counted():
    harvest = Harvest().go_on(source("graph_color", "composite", "leg_counting"))
    assert (len(harvest.rows), harvest.skipped) == (2, {"no_answer": 2, "needs_settings": 2})


def test_a_task_that_does_not_exist_fails_with_its_nearest_names():
    with pytest.raises(SourceFailed, match=r"no 'basic_arithmetik'.* did you mean basic_arithmetic"):
        Harvest().go_on(source("basic_arithmetik"))


def test_without_the_extra_the_source_says_what_to_install(monkeypatch):
    monkeypatch.setitem(registry.KINDS, "gym", registry.Kind("a_library_that_nobody_has:Gym", extra="gym"))
    with pytest.raises(SourceFailed, match=r"needs a_library_that_nobody_has.*pip install 'aevolve\[gym\]'"):
        source("basic_arithmetic")


def test_the_registry_of_kinds_loads_no_library_of_a_kind():
    code = "import services.data.sources.registry, services.data.app, sys; print(*sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "datasets",
        "trafilatura",
        "fastwarc",
        "httpx2",
        "httpcore2",
        "lxml",
        "reasoning_gym",
        "pyarrow",
    }
