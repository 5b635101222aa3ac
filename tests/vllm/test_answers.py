"""vLLM answers as transformers does: for the base and several adapters at a time, in text and in likelihoods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.tasks import TaskList, TaskScore
from services.oracle.evaluate import evaluate
from services.oracle.job import EngineUse, EvaluationJob, ListedSet
from tests.vllm.conftest import WORKERS, of
from tests.vllm.measured import Answers, different, measured_at_once

ROUNDING = 0.25
"""Share of answers in which bfloat16 may lead to another token than single precision, and so to other tokens after it:
the adapters are random, and many of their answers are close calls. In single precision no answer may differ."""


@pytest.fixture(scope="session")
def here(job: EvaluationJob, adapters: list[Path]) -> list[Answers]:
    """The answers of transformers in single precision: the base's and each adapter's."""
    return measured_at_once([of(job, adapter) for adapter in (None, *adapters)], 2)


def test_each_adapter_answers_otherwise(here: list[Answers]) -> None:
    assert len({tuple(answers.outputs) for answers in here}) == len(here)
    assert here[0].score > 0.2
    assert here[0].precision == "float32"


def test_in_single_precision_every_answer_is_the_same(
    job: EvaluationJob, adapters: list[Path], operators: EngineUse, here: list[Answers]
) -> None:
    theirs = measured_at_once([of(job, adapter, operators) for adapter in (None, *adapters)], WORKERS)
    assert [different(*pair) for pair in zip(here, theirs, strict=True)] == [0] * len(here)
    assert theirs[0].engine == "vllm 0.30.0, profile plain, 64 at a time, remote"


def test_in_bfloat16_few_answers_differ_also_where_base_and_adapters_share_a_batch(
    job: EvaluationJob, adapters: list[Path], own: EngineUse, here: list[Answers]
) -> None:
    theirs = measured_at_once([of(job, adapter, own) for adapter in (None, *adapters)], WORKERS + 1)
    differences = [different(*pair) for pair in zip(here, theirs, strict=True)]
    assert max(differences) <= ROUNDING * len(here[0].outputs), differences
    for ours, answers in zip(here, theirs, strict=True):
        assert answers.score == pytest.approx(ours.score, abs=0.1)
        assert answers.engine.startswith("vllm 0.30.0, ")
        assert answers.precision == "bfloat16"


@pytest.fixture(scope="session")
def choices(tmp_path_factory: pytest.TempPathFactory) -> TaskList:
    """A list of multiple-choice questions, one of them nearly as long as the context."""
    folder = tmp_path_factory.mktemp("choices")
    rows = [{"q": f"IX + {n} =?", "choices": [" X", f" {n}", " XI 7 IX"], "answer": n % 3} for n in range(12)]
    rows.append({"q": "long", "choices": [" X" * 124, " IX"], "answer": 0})
    (folder / "rows.json").write_text("\n".join(map(json.dumps, rows)))
    (folder / "sums.yaml").write_text(
        "task: sums\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.json}}\ntest_split: test\n"
        "output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: choices\ndoc_to_target: answer\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\nmetadata: {version: 1.0}\n"
    )
    return TaskList(tasks=(TaskScore(task="sums", metric="acc"),), include=str(folder))


def likelihoods(job: EvaluationJob) -> list[tuple[float, bool]]:
    (taken,) = evaluate(job, lambda _: None).measured
    lines = [json.loads(line)["outputs"] for line in Path(taken.receipt.uri).read_text().splitlines()]
    return [(float(likelihood), greedy) for line in lines for likelihood, greedy in line]


@pytest.mark.parametrize("candidate", [0, 1, 2])
def test_choices_are_compared_by_the_same_likelihoods(
    job: EvaluationJob, adapters: list[Path], operators: EngineUse, choices: TaskList, candidate: int
) -> None:
    adapter = (None, *adapters)[candidate]
    listed = {"sets": (), "lists": (ListedSet(kind="external", tasks=choices),)}
    ours, theirs = (likelihoods(of(job, adapter, use, **listed)) for use in (None, operators))
    assert [one for one, _ in theirs] == pytest.approx([one for one, _ in ours], abs=1e-3)
    assert [greedy for _, greedy in theirs] == [greedy for _, greedy in ours]
