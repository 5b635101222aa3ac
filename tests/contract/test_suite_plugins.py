"""A package from outside adds a suite and a scorer: by entry points, without a change here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.campaign import ItemSet
from schemas.suites import AnySuite, PluginSuite
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.registry import KINDS, check_pin, open_suite
from tasks.scorers.scorer import ScoreInvalid
from tasks.scoring import SCORERS, Scoring
from tasks.suite import ItemsChanged, SuiteRefused
from tests.typed import instance

MODULE = '''
"""A suite of countdowns and a scorer of vowels, as another package would define them."""
from random import Random

from schemas.base import digest
from schemas.suites import SETS, SuitePin
from tasks.item import Item
from tasks.suite import SuiteRefused


class Countdown:
    """From a number down to zero; the sets have numbers of their own."""

    def __init__(self, rule, places):
        self.rule, self.name = rule, rule.name
        self.start = rule.options.get("start", 100)
        if not isinstance(self.start, int):
            raise SuiteRefused(f"suites.{rule.name}.options.start: {self.start!r}; give a whole number")

    def pin(self):
        sizes = {self.name: 0}
        return SuitePin(sha256=digest({"start": self.start}), sets={kind: sizes for kind in SETS}, train=sizes)

    def pool(self, kind, domain):
        return None

    def generate(self, kind, domain, spec, seed):
        offset = 1000 * list(SETS).index(kind)
        numbers = Random(f"{kind}/{seed}").sample(range(offset, offset + self.start), spec.items)
        return [Item(domain, 0, 0, f"Count down from {n}.", str(n - 1), "", str(n)) for n in numbers]

    def training(self, n, seed):
        return [Item(self.name, 0, 0, f"Count down from {n}.", str(n - 1), "", str(n)) for n in range(9000, 9000 + n)]

    def score(self, prompts, completions, **columns):
        return [float(text.split()[:1] == [answer]) for text, answer in zip(completions, columns["answer"])]


def vowels(**options):
    least = options.pop("least", 1)
    if options:
        raise ValueError(f"option {next(iter(options))!r} is not known; use least")

    def score(prompts, completions, *, answer, **columns):
        return [min(1.0, sum(c in "aeiou" for c in text) / least) for text in completions]

    return score


def wild(**options):
    return lambda prompts, completions, **columns: [7.0 for _ in completions]
'''
ENTRY_POINTS = """
[aevolve.suites]
countdown = other_tasks_package:Countdown
[aevolve.scorers]
vowels = other_tasks_package:vowels
wild = other_tasks_package:wild
exact = other_tasks_package:wild
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch):
    about = tmp_path / "other_tasks_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-tasks-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "other_tasks_package.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with places(Settings(task_path=str(tmp_path))) as here:
        yield here
    sys.modules.pop("other_tasks_package", None)


def rule(**fields) -> PluginSuite:
    given = {"kind": "countdown", "name": "down", **fields}
    return instance(PluginSuite, TypeAdapter[AnySuite](AnySuite).validate_python(given))


def test_the_suite_is_found_opened_and_judged(here):
    assert KINDS.names()[-1] == "countdown"
    suite = open_suite(rule(options={"start": 50}), here)
    items = suite.generate("dev", "down", ItemSet(items=3), "s")
    judged = Scoring.of(suite, (), here).items(items, [items[0].answer, f"{items[1].answer} then", "no"])
    assert (judged.values, judged.parts) == ([1.0, 1.0, 0.0], {})


def test_its_pin_is_checked_as_that_of_any_suite(here):
    pinned = rule(pin=open_suite(rule(), here).pin())
    check_pin(pinned, open_suite(pinned, here))
    changed = pinned.model_copy(update={"options": {"start": 7}})
    with pytest.raises(ItemsChanged, match=r"suites\.down: its items or settings have hash"):
        check_pin(changed, open_suite(changed, here))


def test_the_scorer_is_found_with_its_options_and_added_to_others(here):
    assert {"vowels", "wild"} <= set(SCORERS.names())
    scored = rule(score=[{"kind": "exact", "weight": 3}, {"kind": "vowels", "least": 4}])
    suite = open_suite(scored, here)
    items = suite.generate("dev", "down", ItemSet(items=2), "s")
    judged = Scoring.of(suite, scored.score, here).items(items, [items[0].answer, "aei"])
    assert judged.parts == {"exact": [1.0, 0.0], "vowels": [0.0, 0.75]}
    assert judged.values == [0.75, 0.1875]


def test_a_name_of_this_package_cannot_be_taken(here):
    score = SCORERS.get("exact")()
    assert score(["p"], ["4"], answer=["4"]) == [1.0]


def test_scores_of_another_package_are_checked(here):
    suite = open_suite(rule(score="wild"), here)
    items = suite.generate("dev", "down", ItemSet(items=1), "s")
    with pytest.raises(ScoreInvalid, match=r"wild: score 0 is 7\.0; return a number in \[0, 1\] or None"):
        Scoring.of(suite, rule(score="wild").score, here).items(items, ["x"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": {"start": "ten"}}, r"suites\.down\.options\.start: 'ten'; give a whole number"),
        (
            {"score": {"kind": "vowels", "most": 4}},
            r"suites\.down\.score: vowels: option 'most' is not known; use least",
        ),
        ({"score": "vowel"}, r"suites\.score: 'vowel' is not known; use one of .*vowels.* or give FILE\.py:function"),
        ({"kind": "countup"}, r"suites\.kind: 'countup' is not known; use one of .*countdown, or install the package"),
    ],
)
def test_wrong_settings_are_refused_by_name(here, fields, message):
    with pytest.raises(SuiteRefused, match=message):
        Scoring.of(open_suite(rule(**fields), here), rule(**fields).score, here)


def test_settings_of_a_plug_in_go_under_options():
    with pytest.raises(ValidationError, match="or a plug-in's, whose settings go under `options`"):
        rule(start=50)


def test_a_campaign_without_the_plug_in_imports_nothing_of_it(here, tmp_path):
    program = (
        "import sys; from tasks.registry import open_suite; from schemas.suites import PuzzlesSuite; "
        "open_suite(PuzzlesSuite(name='p', domains=('bits',)), None); sys.exit('other_tasks_package' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)}, check=False).returncode == 0
    )
