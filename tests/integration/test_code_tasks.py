"""A code task of lm-eval's, with canned outputs: scored in the sandbox, and only where the constitution allows it."""

import json
from pathlib import Path

import datasets
import pytest
import yaml
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

from schemas.tasks import TaskList, TaskScore
from services.oracle.harness.code_tasks import CodeTaskUnknown, passes, sandboxed
from services.oracle.job import CodeRefused, TaskRefused
from services.oracle.task_lists import run_lists
from tests.unit.loopworld import campaign

DOCUMENT = {
    "task_id": "doubling/0",
    "prompt": 'def half(x):\n    return x / 2\n\n\ndef double(x):\n    """Twice x."""\n',
    "test": "def check(candidate):\n    for x in (0, 1, 2.5):\n        assert half(candidate(x)) == x\n",
    "entry_point": "double",
}
OUTPUTS = {
    "    return 2 * x\n": 1,
    "    return x + x\n```\nThat is it.": 1,
    "    return x\n": 0,
    "    import os; os._exit(0)\n": 0,
    "    while True: pass\n": 0,
    "    return x\n\n\ndef half(x):\n    return x\n": 0,
}
"""What a model might go on with, and whether it passes."""


class Canned(LM):  # type: ignore[misc]  # lm-eval is untyped
    """Says what it was told to say, in the order of the documents."""

    def generate_until(self, requests, disable_tqdm=False):
        return [list(OUTPUTS)[request.doc_id] for request in requests]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


@pytest.fixture
def config(tmp_path):
    (tmp_path / "tasks.jsonl").write_text("".join(f"{json.dumps(DOCUMENT)}\n" for _ in OUTPUTS))
    files = {"data_files": {"test": str(tmp_path / "tasks.jsonl")}, "cache_dir": str(tmp_path / "cache")}
    local = {"dataset_path": "json", "dataset_kwargs": files}
    return {**yaml.safe_load(Path(__file__).with_name("code_task.yaml").read_text()), **local}


def test_a_code_task_is_scored_in_the_sandbox(config):
    task = ConfigurableTask(config=sandboxed(config, run_code=True))
    results = evaluate(Canned(), {"doubling": task}, bootstrap_iters=0)
    assert [sample["pass@1"] for sample in results["samples"]["doubling"]] == list(OUTPUTS.values())
    assert results["results"]["doubling"]["pass@1,none"] == pytest.approx(2 / 6)


def test_code_is_not_run_unless_the_constitution_allows_it(config):
    with pytest.raises(CodeRefused, match="'doubling' runs code that the model wrote, and constitution"):
        sandboxed(config, run_code=False)


@pytest.fixture
def listed(config, tmp_path, monkeypatch):
    """A list with the task in a file, whose metric stands in code beside it, as HumanEval's does."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    text = yaml.safe_dump({**config, "dataset_kwargs": {"data_files": {"test": "tasks.jsonl"}}})
    (tmp_path / "task.yaml").write_text(text.replace("metric: code_eval", "metric: !function beside.metric"))
    (tmp_path / "beside.py").write_text("raise AssertionError('imported')\n")
    return TaskList(tasks=(TaskScore(task="doubling", metric="pass@1"),), include=str(tmp_path))


def test_a_list_may_name_a_code_task_where_the_constitution_allows_it(listed):
    records, stamped = run_lists({"external": listed}, Canned(), run_code=True)
    assert [record.value for record in records] == list(OUTPUTS.values())
    assert "doubling Yaml, pass@1, none, 0-shot" in stamped["harness"]
    with pytest.raises(CodeRefused, match="'doubling' runs code that the model wrote"):
        run_lists({"external": listed}, Canned(), run_code=False)


def test_a_code_task_that_needs_the_code_beside_it_for_more_than_its_metric_is_refused(listed, tmp_path):
    file = tmp_path / "task.yaml"
    file.write_text(f"{file.read_text()}process_docs: !function beside.docs\n")
    with pytest.raises(TaskRefused, match="'doubling' runs code and has functions of its own in process_docs, which"):
        run_lists({"external": listed}, Canned(), run_code=True)


def test_a_program_with_its_tests_in_a_list_is_scored_too():
    document = {"test_list": ["assert first([3, 1]) == 1", "assert set(first('b')) == {'b'}"], "test_setup_code": ""}
    assert passes(document, ["def first(items):\n    return sorted(items)[0]"]) == {"pass@1": 1}
    assert passes(document, ["def first(items):\n    return items[0]"]) == {"pass@1": 0}


SETUP = "def close(a, b):\n    return abs(a - b) < 1e-6\n"
WRONG = "def half(x):\n    return 7.0\n"


@pytest.mark.parametrize(
    "setup",
    [SETUP, "import math\nclose = math.isclose\n", "from math import isclose as close\n"],
    ids=["def", "=", "as"],
)
@pytest.mark.parametrize("solution", [{}, {"code": "def half(x):\n    return x / 2"}], ids=["", "with a solution"])
def test_a_program_cannot_replace_what_the_task_defines_for_its_tests(setup, solution):
    document = {"test_list": ["assert close(half(3), 1.5)"], "test_setup_code": setup, **solution}
    assert passes(document, ["def half(x):\n    return x / 2"]) == {"pass@1": 1}
    assert passes(document, [WRONG + "def close(a, b):\n    return True\n"]) == {"pass@1": 0}


def test_functions_are_known_by_the_tasks_solution_even_under_a_built_in_name_or_uncalled():
    document = {"test_list": ["assert list(map(sum, [6], [4])) == [3]"], "code": "def sum(a, b):\n    return 3"}
    assert passes(document, ["def sum(a, b):\n    return 3"]) == {"pass@1": 1}
    assert passes(document, ["def sum(a, b):\n    return 4"]) == {"pass@1": 0}


def test_the_tests_imports_are_made_and_an_import_of_everything_needs_the_solution():
    document = {"test_list": ["assert math.isclose(half(3), 1.5)"], "test_imports": ["import math"]}
    assert passes(document, ["def half(x):\n    return x / 2"]) == {"pass@1": 1}
    star = {"test_list": ["assert isclose(half(3), 1.5)"], "test_setup_code": "from math import *"}
    with pytest.raises(CodeTaskUnknown, match="imports `\\*` for its tests"):
        passes(star, [WRONG])
    assert passes(star | {"code": "def half(x):\n    return x / 2"}, [WRONG + "def isclose(*_): return 1"]) == {
        "pass@1": 0
    }


def test_a_document_of_another_shape_is_refused():
    with pytest.raises(CodeTaskUnknown, match="a document has the fields code, question; code tasks are known with"):
        passes({"question": "", "code": ""}, [""])


def test_whether_code_may_run_is_part_of_the_constitutions_hash():
    assert campaign().constitution_sha256 != campaign(run_code=True).constitution_sha256
    assert campaign().constitution_sha256 == campaign(run_code=False).constitution_sha256
