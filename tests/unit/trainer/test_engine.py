"""Training: deterministic, resumable, covering what the recipe names, and the loss that it says it has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.recipe import Recipe
from services.runtime.storage import object_store
from services.runtime.storage.artifacts import ArtifactChanged, fetch
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import ModelMissing
from services.trainer import checkpoint, layout
from services.trainer.batches import Batch, prepare
from services.trainer.engine import train
from services.trainer.job import (
    AdapterUntrained,
    OutOfMemory,
    SnapshotMissing,
    TargetModuleMissing,
    Trained,
    TrainingJob,
)
from services.trainer.learner import SELECTIONS
from services.trainer.methods.sft import Supervised
from services.trainer.model import lora
from services.trainer.optimizer import FLOOR, rate
from tests.tiny_models import make_model, make_snapshot


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    return {"base": str(make_model(folder / "base")), "snapshot": make_snapshot(folder)}


@pytest.fixture
def job(inputs, tmp_path):
    def make(name: str = "a", seed: int = 1, **recipe) -> TrainingJob:
        chosen = Recipe(**{"steps": 20, "batch": 8, "rank": 4, "alpha": 8.0, "dropout": 0.1, "traces": 0.5, **recipe})
        places = {"work": str(tmp_path / name / "work"), "out": str(tmp_path / name / "adapter"), "copies": "none"}
        return TrainingJob(candidate="r1s0", recipe=chosen, seed=seed, max_length=256, **places, **inputs)

    return make


def quiet(job: TrainingJob) -> Trained:
    return train(job, lambda _: None)


def summed(run: Supervised, batch: Batch) -> float:
    return sum(run.loss(inputs).item() for inputs in run.inputs(batch))


class Killed(Exception):
    pass


def killed_at(step: int):
    def report(progress: dict[str, Any]) -> None:
        if progress["step"] >= step:
            raise Killed

    return report


def test_equal_jobs_give_equal_adapters(job) -> None:
    first, second = quiet(job("a")), quiet(job("b"))
    assert first.sha256 == second.sha256
    assert first.loss == second.loss
    assert quiet(job("c", seed=2)).sha256 != first.sha256


@pytest.mark.parametrize("kept", sorted(SELECTIONS))
def test_a_resumed_job_ends_with_the_undisturbed_adapter(job, kept: str, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 6)
    monkeypatch.setattr("services.trainer.methods.sft.REPORT_SECONDS", 0.0)
    undisturbed = quiet(job("a", checkpoint=kept))
    with pytest.raises(Killed):
        train(job("b", checkpoint=kept), killed_at(17))
    resumed = quiet(job("b", checkpoint=kept))
    assert (undisturbed.resumed_from, resumed.resumed_from) == (0, 12)
    same = ("sha256", "loss", "tokens", "too_long", "coverage")
    assert [getattr(resumed, name) for name in same] == [getattr(undisturbed, name) for name in same]


def test_a_half_written_checkpoint_is_not_taken_up(job, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 6)
    monkeypatch.setattr("services.trainer.methods.sft.REPORT_SECONDS", 0.0)
    with pytest.raises(Killed):
        train(job(), killed_at(7))
    written = Path(job().work) / "checkpoint.pt"
    written.rename(written.with_suffix(".part"))
    assert quiet(job()).resumed_from == 0


def test_the_checkpoint_of_another_job_is_not_taken_up(job, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 6)
    monkeypatch.setattr("services.trainer.methods.sft.REPORT_SECONDS", 0.0)
    with pytest.raises(Killed):
        train(job(seed=1), killed_at(7))
    assert quiet(job(seed=2)).resumed_from == 0


def test_training_lowers_the_loss_and_moves_every_target(job) -> None:
    recipe = {"steps": 60, "lr": 2e-2, "traces": 0.0, "dropout": 0.0}
    seen: list[float] = []
    result = train(job(**recipe), lambda progress: seen.append(progress["loss"]))
    assert result.loss < 0.7 * seen[0]
    assert result.coverage.modules == dict.fromkeys(sorted(Recipe().target_modules), 2)
    assert result.coverage.moved == 14
    adapter = load_file(Path(result.uri) / lora.WEIGHTS)
    assert sum(weight.numel() for weight in adapter.values()) == result.coverage.trainable


def test_the_adapter_loads_as_peft_reads_it_and_changes_the_model(job, inputs) -> None:
    result = quiet(job())
    ids = torch.tensor([[1, 20, 30, 40]])
    model = AutoModelForCausalLM.from_pretrained(inputs["base"]).eval()
    before = model(ids).logits
    assert not torch.equal(PeftModel.from_pretrained(model, result.uri).eval()(ids).logits, before)
    config = json.loads((Path(result.uri) / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (4, "base")


def test_the_loss_is_the_mean_over_the_batch_however_it_is_cut(job, inputs, monkeypatch) -> None:
    base = Path(inputs["base"])
    data = prepare(job(dropout=0.0), AutoTokenizer.from_pretrained(base))
    whole, cut = Supervised(job(dropout=0.0), data, base), Supervised(job(dropout=0.0), data, base)
    loss = whole.learn(data.batches[0])
    monkeypatch.setattr(layout, "MICRO_TOKENS", 100)
    assert cut.learn(data.batches[0]) == pytest.approx(loss, rel=1e-5)
    for name, weight in whole.weights.items():
        torch.testing.assert_close(cut.weights[name].grad, weight.grad)


def test_padding_does_not_change_the_loss(job, inputs) -> None:
    base = Path(inputs["base"])
    data = prepare(job(dropout=0.0), AutoTokenizer.from_pretrained(base))
    run = Supervised(job(dropout=0.0), data, base)
    batch = [min(data.held_out, key=lambda e: len(e.tokens)), max(data.held_out, key=lambda e: len(e.tokens))]
    alone = sum(summed(run, [example]) for example in batch)
    assert summed(run, batch) == pytest.approx(alone, rel=1e-5)


def test_a_module_the_model_lacks_is_refused_before_any_step(job) -> None:
    with pytest.raises(TargetModuleMissing, match=r"'w1' is no linear layer .* q_proj"):
        quiet(job(target_modules=("q_proj", "w1")))


def test_a_layer_without_gradient_is_an_error(job, inputs, monkeypatch) -> None:
    attach = lora.Lora.attach

    def frozen(form, model, recipe):
        adapted = attach(form, model, recipe)
        next(w for name, w in adapted.named_parameters() if "q_proj.lora_B" in name).register_hook(torch.zeros_like)
        return adapted

    monkeypatch.setattr(lora.Lora, "attach", frozen)
    with pytest.raises(AdapterUntrained, match="1 of 14 adapted layers did not move"):
        quiet(job(weight_decay=0.5))


def test_a_job_that_does_not_fit_says_what_to_lower(job, monkeypatch) -> None:
    def too_much(*_) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Supervised, "learn", too_much)
    with pytest.raises(OutOfMemory, match=r"model\.max_length: 256 tokens do not fit"):
        quiet(job())


def test_a_folder_without_a_model_is_named(job, tmp_path) -> None:
    with pytest.raises(ModelMissing, match=r"holds no config\.json"):
        quiet(job().model_copy(update={"base": str(tmp_path)}))


def test_progress_counts_to_the_last_step(job) -> None:
    seen: list[dict[str, Any]] = []
    train(job(), seen.append)
    assert seen[-1]["step"] == seen[-1]["steps"] == 20
    assert all(progress["loss"] > 0 for progress in seen)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_rate_warms_up_and_falls_to_its_floor(schedule: str) -> None:
    recipe = Recipe(steps=100, warmup=0.1, schedule=schedule, lr=1e-2)
    rates = [rate(recipe, step) for step in range(100)]
    assert 0 < rates[0] < rates[9] < rates[10] == pytest.approx(1e-2)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1e-2 if schedule == "constant" else FLOOR * 1e-2, abs=2e-4)


def weights(*values: float) -> dict[str, torch.nn.Parameter]:
    return {"w": torch.nn.Parameter(torch.tensor(values))}


def test_average_is_the_mean_of_the_last_quarter() -> None:
    kept = weights(0.0)
    choice = SELECTIONS["average"](Recipe(steps=8), kept, lambda: 0.0)
    for step in range(1, 9):
        kept["w"].data.fill_(float(step))
        choice.observe(step)
    choice.apply()
    assert kept["w"].item() == 7.5


def test_best_keeps_the_weights_with_the_lowest_held_back_loss() -> None:
    kept, losses = weights(0.0), iter([3.0, 1.0, 2.0, 5.0])
    choice = SELECTIONS["best"](Recipe(steps=4), kept, lambda: next(losses))
    for step in range(1, 5):
        kept["w"].data.fill_(float(step))
        choice.observe(step)
    choice.apply()
    assert kept["w"].item() == 2.0


def test_an_older_adapter_at_the_place_is_replaced(job) -> None:
    first = quiet(job())
    (Path(first.uri) / "stale").write_text("")
    shutil.rmtree(job().work, ignore_errors=True)
    assert quiet(job()).sha256 == first.sha256


@pytest.fixture
def distant(job, inputs, tmp_path):
    """A job whose snapshot and adapter lie in a store of objects."""
    snapshot, store = Path(inputs["snapshot"]), f"memory://{tmp_path}"
    object_store.write(f"{store}/{snapshot.name}", snapshot.read_bytes())
    places = {"snapshot": f"{store}/{snapshot.name}", "out": f"{store}/adapter", "copies": str(tmp_path / "copies")}
    return job("distant").model_copy(update={**places, "snapshot_sha256": snapshot.stem})


def test_an_adapter_in_a_store_of_objects_is_the_one_of_a_folder(job, distant, tmp_path) -> None:
    there, local = quiet(distant), quiet(job())
    assert there.uri == f"memory://{tmp_path}/adapter"
    assert there.sha256 == local.sha256
    assert hash_folder(fetch(there.uri, there.sha256, hash_folder, tmp_path / "copies")) == there.sha256
    assert not Path(distant.work).exists()


def test_another_snapshot_than_the_recorded_one_is_not_trained_on(distant) -> None:
    with pytest.raises(ArtifactChanged, match=r"its hash is [0-9a-f]{64}, recorded is 0{64}"):
        quiet(distant.model_copy(update={"snapshot_sha256": "0" * 64}))
    with pytest.raises(SnapshotMissing, match=r"nowhere.* does not exist; make the round's data again"):
        quiet(distant.model_copy(update={"snapshot": "memory://nowhere.parquet"}))
