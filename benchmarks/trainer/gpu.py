"""`python -m benchmarks.trainer.gpu`: our engine at real shapes on one accelerator, beside the plan and a bare loop.

Two models with random weights, a mixture of the size of Nemotron 3 Nano and a dense one of 8 billion parameters, take
LoRA steps on full sequences. Shown are tokens per second, utilisation, and peak memory beside the plan's estimate; one
run is cut after its first step and goes on from its checkpoint. Without an accelerator nothing is run, as it says.

    python -m benchmarks.trainer.gpu [--tiny] [--steps N] [--folder DIR] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.trainer.work import lora_settings
from schemas.recipe import Recipe
from services.trainer.batches import IGNORED, Data, Example, pad
from services.trainer.job import TrainingJob
from services.trainer.learner import place
from services.trainer.methods.sft import Supervised
from services.trainer.optimizer import BETAS, CLIP, rate
from services.trainer.registry import traits
from sizing import families, memory, speed
from sizing.cards import cards
from sizing.devices import DEVICES, Device
from sizing.shapes import Shapes

NANO = "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"
MIXTURE: dict[str, Any] = cards()[NANO].config

DENSE: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
"""Llama 3 8B (arXiv 2407.21783, table 3)."""

SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SMALL_MIXTURE: dict[str, Any] = {
    **{key: value for key, value in SMALL.items() if key != "num_hidden_layers"},
    "hybrid_override_pattern": "M*E",
    "head_dim": 16,
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "ssm_state_size": 16,
    "n_groups": 2,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "moe_shared_expert_intermediate_size": 48,
}
WITHIN, BESIDE, DENSE_MFU = 0.1, 0.95, 0.5
"""Goals: of the estimate's error, of our rate over the bare loop's, of a dense model's utilisation (MFU)."""


@dataclass(frozen=True)
class Case:
    """One model."""

    name: str
    config: dict[str, Any]
    targets: tuple[str, ...]
    length: int
    batch: int

    @property
    def shapes(self) -> Shapes:
        """Of the model."""
        return families.shapes(self.config)

    def recipe(self, steps: int) -> Recipe:
        """Rank 32, activations computed again where a mixture's would not fit."""
        again = "recomputed" if self.shapes.mixture else "kept"
        return Recipe(rank=32, steps=steps, batch=self.batch, target_modules=self.targets, activations=again, lr=1e-4)


LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
HYBRID = ("q_proj", "k_proj", "v_proj", "o_proj", "in_proj", "up_proj", "down_proj")


def cases(*, tiny: bool) -> tuple[Case, ...]:
    """The models, or tiny ones of the same families."""
    if tiny:
        return (
            Case("tiny mixture", {**SMALL_MIXTURE, "model_type": "nemotron_h"}, HYBRID, 64, 4),
            Case("tiny dense", {**SMALL, "model_type": "llama"}, LINEAR, 64, 4),
        )
    return (Case("mixture of 30B", MIXTURE, HYBRID, 8192, 4), Case("dense of 8B", DENSE, LINEAR, 4096, 8))


class Cut(Exception):
    """The run is cut here."""


def main() -> int:
    """Run it where there is an accelerator, or tiny; 0 whatever it shows."""
    options = _parser().parse_args()
    if not (torch.cuda.is_available() or options.tiny):
        print("not run: no accelerator here; on a machine with one H200: python -m benchmarks.trainer.gpu")
        return 0
    records = [record for case in cases(tiny=options.tiny) for record in _measured(case, options)]
    if options.out:
        options.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


def _measured(case: Case, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="aevolve-gpu-", dir=options.folder) as place_:
        folder = Path(place_)
        _make(case, folder / "base")
        job, data = _job(case, folder, options.steps), _data(case, options.steps)
        ours, peak, losses = _ours(job, data, folder / "base")
        bare = _bare(job, data, folder / "base")
        resumed = _resumed(job, data, folder / "base")
    yield _record(case, options.steps, ours, bare, peak, resumed == losses)


def _make(case: Case, folder: Path) -> None:
    """A model with random weights."""
    device, dtype = place()
    config, maker = AutoConfig.for_model(**case.config), _maker()
    with torch.device(device):
        model = maker.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    del model
    _empty()


def _maker() -> Any:
    """The library's class, whose types are not what it takes and gives."""
    return AutoModelForCausalLM


def _job(case: Case, folder: Path, steps: int) -> TrainingJob:
    return TrainingJob(
        candidate="bench",
        recipe=case.recipe(steps),
        base=str(folder / "base"),
        snapshot=str(folder / "none.parquet"),
        seed=0,
        max_length=case.length,
        work=str(folder / "work"),
        out=str(folder / "out"),
        copies=str(folder / "copies"),
    )


def _data(case: Case, steps: int) -> Data:
    """Full sequences of random tokens, a quarter of each a prompt."""
    tokens = np.random.default_rng(0).integers(1, case.config["vocab_size"], (steps, case.batch, case.length))
    batches = [[Example(tuple(row.tolist()), ((case.length // 4, len(row)),), 1) for row in step] for step in tokens]
    return Data(batches, batches[0][:1], 0)


def _ours(job: TrainingJob, data: Data, base: Path) -> tuple[float, int, list[float]]:
    """Tokens per second after the first step, peak memory in bytes, and the losses."""
    _fresh(job)
    run = Supervised(job, data, base)
    began: list[float] = []

    def report(_: dict[str, Any]) -> None:
        _wait()
        began.append(time.perf_counter())

    run.run(0, report)
    _wait()
    later = (len(data.batches) - 1) * len(data.batches[0]) * job.max_length
    measured = later / (time.perf_counter() - began[0]), _peak(), run.losses
    del run
    _empty()
    return measured


def _bare(job: TrainingJob, data: Data, base: Path) -> float:
    """Tokens per second of the same model, adapter and batches in a loop of nothing else, after the first step."""
    device, dtype = place()
    torch.manual_seed(job.seed)
    loaded = _maker().from_pretrained(base, dtype=dtype, use_safetensors=True).to(device)
    if job.recipe.activations == "recomputed":
        loaded.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = get_peft_model(loaded, LoraConfig(**lora_settings(job.recipe))).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=job.recipe.lr, betas=BETAS, weight_decay=0.0, fused=True)
    size, began = max(1, memory.MICRO_TOKENS // job.max_length), 0.0
    for step, batch in enumerate(data.batches):
        learnt = sum(example.learned for example in batch)
        for start in range(0, len(batch), size):
            ids, targets = (torch.from_numpy(part).to(device) for part in pad(batch[start : start + size], 0))
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1).float()
            next_tokens = targets[:, 1:].flatten()
            loss = (
                torch.nn.functional.cross_entropy(logits, next_tokens, ignore_index=IGNORED, reduction="sum") / learnt
            )
            torch.autograd.backward(loss)
            loss.item()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.param_groups[0]["lr"] = rate(job.recipe, step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step == 0:
            _wait()
            began = time.perf_counter()
    _wait()
    later = (len(data.batches) - 1) * len(data.batches[0]) * job.max_length
    measured = later / (time.perf_counter() - began)
    del loaded, model, optimizer, weights
    _empty()
    return measured


def _resumed(job: TrainingJob, data: Data, base: Path) -> list[float]:
    """Losses of a run that is cut after its first step and goes on from its checkpoint."""
    _fresh(job)
    cut = Supervised(job, data, base)

    def after_one(_: dict[str, Any]) -> None:
        cut.save()
        raise Cut

    try:
        cut.run(0, after_one)
    except Cut:
        del cut
        _empty()
    run = Supervised(job, data, base)
    run.run(run.restore(), lambda _: None)
    losses = run.losses
    del run
    _empty()
    return losses


def _record(case: Case, steps: int, ours: float, bare: float, peak: int, same: bool) -> dict[str, Any]:
    """Print the figures of a model; them for the file."""
    shapes, recipe, half = case.shapes, case.recipe(steps), torch.cuda.is_available()
    estimate = memory.training(shapes, recipe, traits(recipe), case.length, half=half).total
    not_recomputed = recipe.model_copy(update={"activations": "kept"})
    used = (
        speed.training(shapes, not_recomputed, traits(not_recomputed), case.length) * ours / (_device().tflops * 1e12)
    )
    record = {
        "model": case.name,
        "parameters": shapes.total,
        "tokens_per_second": ours,
        "bare_tokens_per_second": bare,
        "beside_bare": ours / bare,
        "mfu": used if half else None,
        "peak_bytes": peak or None,
        "planned_bytes": estimate,
        "resumed_alike": same,
        "met": {
            "beside_bare": ours / bare >= BESIDE,
            "memory": abs(peak / estimate - 1) <= WITHIN if peak else None,
            "mfu": used >= DENSE_MFU if half and not shapes.mixture else None,
        },
    }
    print(json.dumps(record, indent=1))
    return record


def _device() -> Device:
    """The accelerator here, else the one that plans assume."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((device for device in DEVICES.values() if device.title.split()[1] in name), DEVICES["h200"])


def _fresh(job: TrainingJob) -> None:
    shutil.rmtree(job.work, ignore_errors=True)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> int:
    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _empty() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.trainer.gpu", description="Our engine on an accelerator.")
    parser.add_argument("--tiny", action="store_true", help="tiny models, on a processor too; its figures mean nothing")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of each run, at least 2 (6)")
    parser.add_argument("--folder", type=Path, help="where the weights lie meanwhile, 64 GB (the system's)")
    parser.add_argument("--out", type=Path, help="the JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
