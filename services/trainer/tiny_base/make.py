"""The tiny base model, pre-trained from scratch in about a minute: the start of every demo campaign.

It is mediocre on purpose: it has seen every family, difficulty and wording of the train split, but mostly easy, terse
items, and too few of them, so that post-training has something to gain and something to lose. Its budget is steps, not
seconds: the same arguments give the same bytes on the same machine and versions.

    python -m services.trainer.tiny_base.make --out DIR [--steps N] [--seed N] [--threads N]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from schemas.base import digest
from schemas.campaign import DOMAINS
from services.trainer.tiny_base.tokenizer import EOS, make_tokenizer
from tasks.item import Item
from tasks.puzzles.draw import draw
from tasks.puzzles.vocabulary import vocabulary

DEFAULT_STEPS = 800
THREADS = 1
BATCH = 16
SHARES = {"bits": 0.8, "cipher": 1.5, "equations": 1.2}
"""Relative number of items of the quick and the slow learners; the other domains have 1."""
DIFFICULTY = (0.8, 0.15, 0.05)
WORDINGS = (0.94, 0.03, 0.03)
TRACES = 0.9
"""Share of the items that show their worked trace."""
SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
}
MANIFEST = "aevolve.json"

Report = Callable[[int, float], None]
"""Called with each step, from 1, and its loss in nats per token."""


def silent(step: int, loss: float) -> None:
    """Report nothing."""


def make_base(
    folder: Path,
    *,
    steps: int = DEFAULT_STEPS,
    threads: int = THREADS,
    seed: int = 0,
    report: Report = silent,
) -> None:
    """Pre-train the base and write it to `folder` as a Hugging Face model.

    The folder appears complete or not at all. Sets the number of torch threads of this process.
    Raises `FileExistsError` where the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"folder {folder} exists; remove it or choose another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(scratch, steps, threads, seed, report)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch)
        raise


def base_key(*, steps: int = DEFAULT_STEPS, threads: int = THREADS, seed: int = 0) -> str:
    """Name of the cache folder of a base: 16 hexadecimal digits over its source, settings and library versions."""
    settings = {"steps": steps, "threads": threads, "seed": seed, "source": source_sha256()}
    libraries = {name: version(name) for name in ("torch", "transformers", "tokenizers")}
    return digest({**settings, **libraries})[:16]


def source_sha256() -> str:
    """Hash over the source files that determine the base."""
    hashed = hashlib.sha256()
    for file in source_files():
        hashed.update(f"{file.relative_to(ROOT).as_posix()}\n".encode() + file.read_bytes())
    return hashed.hexdigest()


def source_files() -> list[Path]:
    """The files that determine the base: the puzzles and how it is trained on them."""
    puzzles = [*(ROOT / "tasks" / "puzzles").glob("*.py"), ROOT / "tasks" / "item.py", ROOT / "tasks" / "split.py"]
    return sorted([*puzzles, *(Path(__file__).with_name(f"{name}.py") for name in _SOURCES)])


ROOT = Path(__file__).parents[3]
_SOURCES = ("make", "pretrain", "tokenizer")


def items(n: int, seed: int) -> list[Item]:
    """`n` items of the train split in random order."""
    whole = sum(SHARES.get(domain, 1.0) for domain in DOMAINS)
    mixture = [
        item
        for domain in DOMAINS
        for item in draw(
            domain,
            ceil(n * SHARES.get(domain, 1.0) / whole),
            difficulty=DIFFICULTY,
            wordings=WORDINGS,
            split="train",
            seed=f"base {seed}",
        )
    ]
    Random(seed).shuffle(mixture)
    return mixture[:n]


def _write(folder: Path, steps: int, threads: int, seed: int, report: Report) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from services.trainer.tiny_base.pretrain import pretrain

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    started = time.monotonic()
    tokenizer = make_tokenizer(vocabulary(), SHAPE["max_position_embeddings"])
    specials = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **SHAPE, **specials))
    loss = pretrain(model, _rows(tokenizer, steps, seed), BATCH, tokenizer.pad_token_id, seed, report)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    manifest = {
        "steps": steps,
        "seed": seed,
        "threads": threads,
        "loss": round(loss, 4),
        "seconds": round(time.monotonic() - started, 1),
        "source_sha256": source_sha256(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _rows(tokenizer: Any, steps: int, seed: int) -> list[tuple[list[int], int]]:
    """Token ids and prompt lengths; a prompt ends with a line break, a completion with the end token."""
    rng = Random(seed)
    batch_items = items(steps * BATCH, seed)
    prompts = tokenizer([f"{item.prompt}\n" for item in batch_items])["input_ids"]
    texts = [item.completion(traced=rng.random() < TRACES) + EOS for item in batch_items]
    completions = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [(prompt + completion, len(prompt)) for prompt, completion in zip(prompts, completions, strict=True)]


def main() -> None:
    """The command line."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="python -m services.trainer.tiny_base.make", description="Make the tiny base model.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, must not exist")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=THREADS)
    arguments = parser.parse_args()
    # OpenMP reads this when torch is loaded. On a busy machine threads that spin while they wait cost tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def report(step: int, loss: float) -> None:
        if step % 50 == 0 or step == arguments.steps:
            sys.stderr.write(f"step {step}/{arguments.steps}  loss {loss:.3f}\n")

    make_base(arguments.out, steps=arguments.steps, threads=arguments.threads, seed=arguments.seed, report=report)


if __name__ == "__main__":
    main()
