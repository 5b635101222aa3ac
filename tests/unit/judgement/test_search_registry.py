"""A search policy of another package is found by its entry point, and whole campaigns are played by it."""

import subprocess
import sys
from pathlib import Path

import pytest

from judgement.decisions import choose_final, choose_submissions, finish, first_policy, propose, update
from judgement.search import registry
from judgement.search.trust import Trust
from schemas.plugins import UnknownName
from services.console.campaign_file import parse
from services.runtime.user_error import UserError
from tests.unit.judgement.test_search_loop import assessed
from tests.unit.loopworld import SPACE, Deciders, World, campaign, play

DEMO = Path(__file__).parents[3] / "deploy" / "campaigns" / "demo.yaml"
MODULE = """
from judgement.search.baselines import Random


class HighestRank(Random):
    def propose(self, history, slots, rng):
        return [(recipe.replace("rank", 32), gain) for recipe, gain in super().propose(history, slots, rng)][:1]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package with one policy, `highest_rank`, and another that wants a built-in's name."""
    (tmp_path / "outside_policy.py").write_text(MODULE)
    info = tmp_path / "outside_policy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-policy\nVersion: 1.0\n")
    points = "highest_rank = outside_policy:HighestRank\ntrust = outside_policy:HighestRank\n"
    (info / "entry_points.txt").write_text(f"[{registry.POLICIES.group}]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    registry._installed.cache_clear()
    sys.modules.pop("outside_policy", None)


def named(search):
    return DEMO.read_text().replace("constitution:\n", f"constitution:\n  search: {search}\n", 1)


def test_a_policy_of_another_package_plays_a_campaign_within_the_constitution(plugin):
    loop = Deciders(first_policy, propose, choose_submissions, assessed, update, choose_final, finish)
    history = play(campaign(3, search="highest_rank", max_changes=len(SPACE)), World(3), loop, obeys=True).history
    assert history.finished
    assert {t.recipe.rank for t in history.trials.values() if t.recipe and t.slot} == {32}


def test_a_built_in_name_cannot_be_replaced(plugin):
    assert registry.POLICIES.names() == ("trust", "dev_greedy", "random", "highest_rank")
    assert type(registry.policy("trust")) is Trust


def test_a_campaign_file_may_name_it_once_it_is_installed(plugin):
    assert parse(named("highest_rank"), DEMO).constitution.search == "highest_rank"


def test_a_policy_that_is_not_installed_is_refused_with_the_known_names():
    known = r"constitution\.search: 'highest_rank' is not known; use one of trust, dev_greedy, random, or install"
    with pytest.raises(UserError, match=rf"demo\.yaml: {known}"):
        parse(named("highest_rank"), DEMO)
    with pytest.raises(UnknownName, match=known):
        registry.policy("highest_rank")


def test_the_contracts_do_not_load_the_policies():
    code = "import schemas.campaign, sys; print([name for name in sys.modules if name.startswith('judgement')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
