"""People's rows: epochs, what is left out and why, losses that are no numbers, and what an order says of suites."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from judgement import cost
from judgement.history import fold
from schemas.events import CheckpointTrained
from schemas.prompts import Prompt
from schemas.recipe import Recipe
from schemas.rows import Row
from schemas.sources import DataRule, FilesSource
from schemas.suites import FilesSuite
from services.runtime.prompting import EndTokenMissing
from services.trainer import preflight
from services.trainer.adapter_job import TRAINING
from services.trainer.batches import prepare
from services.trainer.job import LossNotFinite, RowsMissing, RowsTooLong
from services.trainer.methods.sft import Supervised
from services.trainer.orders import TrainOrder
from services.trainer.steps import queue_training
from tests.tiny_models import make_text_model, text_tokenizer
from tests.trained import make_job, quiet, write_rows
from tests.typed import there
from tests.unit.runtime.test_steps import proposed


def row(at: int, **more) -> Row:
    fixed = {
        "domain": "sums",
        "difficulty": 0,
        "wording": 0,
        "prompt": f"{at} + 1?",
        "answer": "",
        "trace": f"{at + 1}",
    }
    return Row(**{**fixed, "core": f"{at}", "source": "mine", **more})


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return str(make_text_model(tmp_path_factory.mktemp("models") / "base"))


@pytest.fixture
def job(base, tmp_path):
    def make(rows: list[Row], prompt: Prompt = Prompt(), **recipe):  # noqa: B008 - frozen
        inputs = {"base": base, "snapshot": write_rows(tmp_path / "rows.parquet", rows), "prompt": prompt}
        return make_job(tmp_path / "job", inputs, **{"batch": 4, "traces": 0.0, **recipe})

    return make


def begin(job) -> Supervised:
    return Supervised(job, prepare(job, text_tokenizer("bytes")), Path(job.base))


ROWS = [row(at) for at in range(64)]
LONG = [row(100 + at, trace="2 + 3? " * 60, source="essays") for at in range(32)]


@pytest.mark.parametrize(
    ("epochs", "steps", "expected"), [(1.0, 100, 16), (0.1, 100, 2), (3.0, 20, 20), (0.0, 5, 5), (0.01, 9, 1)]
)
def test_epochs_pass_over_the_rows_in_place_of_steps_which_bound_them(job, epochs, steps, expected) -> None:
    given = job(ROWS, epochs=epochs, steps=steps)
    data = prepare(given, text_tokenizer("bytes"))
    assert len(data.batches) == expected
    assert begin(given).job.recipe.steps == expected
    assert quiet(given).tokens == data.tokens


def test_epochs_count_the_domains_that_the_recipe_uses(job) -> None:
    rows = [*ROWS, *(row(at, domain="other") for at in range(40))]
    assert len(begin(job(rows, epochs=1.0, steps=100)).data.batches) == 26
    assert len(begin(job(rows, epochs=1.0, steps=100, mix={"other": 0.0})).data.batches) == 16


def test_epochs_are_in_the_expected_cost() -> None:
    log = proposed(slots=1)  # its snapshot holds 6 rows
    history = fold(log.id, log.envelopes)

    def expected(**knobs) -> float:
        return cost.compute(history, Recipe(batch=2, **knobs))

    assert expected(steps=1000, epochs=4.0) == 2 * expected(steps=1000, epochs=2.0) == expected(steps=12)
    assert expected(steps=3, epochs=9.0) == expected(steps=3)
    trained = log.campaign.recipe.model_copy(update={"epochs": 1.0})
    log.train(1, 0, log.at + 1, log.at + 2)
    measured = fold(log.id, log.envelopes)
    trial = measured.trials["r1s0"]
    trial.recipe = trained
    paid = there(trial.checkpoint).cost.compute
    assert cost.compute(measured, trained) == paid
    assert cost.compute(measured, trained.model_copy(update={"epochs": 1.0 + trained.batch / 6})) == 2 * paid


def test_rows_too_long_are_counted_by_source_each_once(job) -> None:
    trained = quiet(job([*ROWS, *LONG], steps=40))
    assert trained.too_long_rows == {"essays": 30}  # two are held out
    assert trained.too_long > 30
    event = CheckpointTrained.model_validate(
        {
            "candidate": "r1s0",
            "attempt": 1,
            "uri": trained.uri,
            "sha256": trained.sha256,
            "coverage": trained.coverage,
            "loss": 1.0,
            "cost": {},
            "too_long": trained.too_long_rows,
        }
    )
    assert event.model_dump()["too_long"] == {"essays": 30}
    assert not {"too_long", "unused"} & event.model_copy(update={"too_long": {}}).model_dump().keys()


def test_a_domain_whose_rows_are_all_too_long_fails_by_name(job) -> None:
    rows = [*ROWS, *(replace(one, domain="essays") for one in LONG)]
    with pytest.raises(
        RowsTooLong, match=r"each of the 30 rows of the domain essays is longer .* recipe\.mix\.essays: 0"
    ):
        quiet(job(rows, steps=4))
    assert quiet(job(rows, steps=4, mix={"essays": 0.0})).too_long_rows == {}


def test_a_conversation_without_an_answer_is_left_out_and_counted(job) -> None:
    silent = json.dumps([{"role": "user", "content": "why"}])
    rows = [*ROWS, *(row(100 + at, messages=silent) for at in range(32))]
    trained = quiet(job(rows, Prompt(template="chat"), steps=40))
    assert trained.unused == {"no_assistant_turn": 30}
    with pytest.raises(RowsMissing):
        quiet(job(rows[64:], Prompt(template="chat")))


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_no_number_ends_the_job_at_once(job, monkeypatch, where: str) -> None:
    learner = begin(job(ROWS, steps=6, lr=0.03))
    loss, calls = learner.loss, []

    def broken(inputs):
        calls.append(1)
        if len(calls) < 3:
            return loss(inputs)
        if where == "loss":
            return loss(inputs) * float("nan")
        return loss(inputs) + (next(iter(learner.weights.values())) * 0).pow(0.5).sum()  # its slope at 0 is infinite

    monkeypatch.setattr(learner, "loss", broken)
    named = {"loss": "loss is nan", "gradient": "gradient's norm is nan"}[where]
    with pytest.raises(LossNotFinite, match=rf"recipe\.lr: the {named} in step 3 of 6 at lr 0\.03; lower lr"):
        learner.run(0, lambda _: None)
    assert len(calls) == 3
    assert "LossNotFinite" in TRAINING.permanent - TRAINING.uncharged


def test_a_base_that_overflows_fails_by_name(job, base) -> None:
    given = job(ROWS, steps=3)
    learner = begin(given)
    with torch.no_grad():
        learner.model.get_base_model().model.norm.weight.fill_(float("inf"))
    with pytest.raises(LossNotFinite, match="step 1 of 3"):
        learner.run(0, lambda _: None)


def test_a_tokenizer_without_an_end_token_is_refused_before_the_work(job, tmp_path) -> None:
    folder = make_text_model(tmp_path / "endless")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    given = job(ROWS).model_copy(update={"base": str(folder)})
    with pytest.raises(EndTokenMissing, match=r"model\.base: its tokenizer has no end token .* name one in"):
        preflight.check(given)
    preflight.check(given.model_copy(update={"prompt": Prompt(template="chat")}))  # the template ends a turn
    assert "EndTokenMissing" in TRAINING.permanent & TRAINING.uncharged


def test_the_order_of_a_campaign_of_puzzles_is_as_it_was() -> None:
    log = proposed(slots=1)
    (job,) = queue_training(fold(log.id, log.envelopes), datetime.now(UTC)).work
    assert list(job.payload) == ["proposed", "substrate", "model", "snapshot", "snapshot_uri"]
    assert TrainOrder.model_validate(job.payload).suites == ()


def test_the_order_names_the_suites_and_who_judges_which_source() -> None:
    log = proposed(slots=1)
    law = log.campaign.constitution
    suites = (FilesSuite(name="sums", eval="sums.jsonl"), FilesSuite(name="style", eval="style.jsonl"))
    sources = tuple(
        FilesSource(name=name, domain="bits", paths=("x.jsonl",), suite=suite)
        for name, suite in (("mine", None), ("web", "style"))
    )
    history = fold(log.id, log.envelopes)
    law = law.model_copy(update={"suites": suites, "data": DataRule(sources=sources)})
    object.__setattr__(history, "campaign", history.campaign.model_copy(update={"constitution": law}))
    (job,) = queue_training(history, datetime.now(UTC)).work
    order = TrainOrder.model_validate(job.payload)
    assert order.suites == suites
    assert order.judges == {"web": "style"}
