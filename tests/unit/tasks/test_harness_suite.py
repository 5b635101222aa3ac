"""A suite of lm-eval tasks: lists of names, without items and without lm-eval."""

from __future__ import annotations

import subprocess
import sys

import pytest

from schemas.campaign import ItemSet
from schemas.suites import HarnessSuite
from tasks.harness import Harness
from tasks.suite import SuiteRefused
from tests.unit.folder_places import NOWHERE


def rule(**fields) -> HarnessSuite:
    task = {"task": "GSM8K", "metric": "exact_match"}
    return HarnessSuite.model_validate({"name": "lists", "dev": [task], **fields})


def test_each_task_of_a_list_is_a_domain_and_confirm_takes_those_of_dev():
    pin = Harness(rule(target=[{"task": "arc_easy", "metric": "acc"}]), NOWHERE).pin()
    assert pin.sets == {"dev": {"gsm8k": 0}, "confirm": {"gsm8k": 0}, "external": {"arc_easy": 0}}
    assert pin.train == {}


def test_the_pin_depends_on_the_lists():
    assert Harness(rule(), NOWHERE).pin() == Harness(rule(), NOWHERE).pin()
    assert Harness(rule(), NOWHERE).pin().sha256 != Harness(rule(include="more"), NOWHERE).pin().sha256


def test_it_has_no_items_and_no_score():
    suite = Harness(rule(), NOWHERE)
    assert suite.pool("dev", "gsm8k") is None
    assert suite.training(5, "s") == []
    assert suite.score(["p", "p"], ["a", "b"]) == [None, None]
    with pytest.raises(SuiteRefused, match=r"suites\.lists: gsm8k is a task of lm-eval"):
        suite.generate("dev", "gsm8k", ItemSet(items=1), "s")


def test_a_suite_without_tasks_and_one_with_a_scorer_are_refused():
    with pytest.raises(SuiteRefused, match=r"suites\.lists: it names no task"):
        Harness(HarnessSuite(name="lists"), NOWHERE)
    with pytest.raises(SuiteRefused, match=r"suites\.lists\.score: lm-eval scores its tasks itself"):
        Harness(rule(score="exact"), NOWHERE)


def test_opening_imports_no_lm_eval():
    program = "import sys, tasks.harness; sys.exit('lm_eval' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
