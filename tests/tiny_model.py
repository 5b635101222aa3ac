"""A random Llama of 10,000 parameters over the puzzles' own tokenizer, and a small snapshot: seconds, not minutes."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from services.data.job import CellPlan, SnapshotPlan
from services.data.snapshot import build
from services.trainer.tiny_base.tokenizer import make_tokenizer
from tasks.puzzles.vocabulary import vocabulary

DOMAINS = ("roman", "units")


def make_model(folder: Path, *, width: int = 32, seed: int = 0) -> Path:
    tokenizer = make_tokenizer(vocabulary(), 256)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.2,  # the frozen output layer must be able to prefer a token
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_snapshot(folder: Path, rows: int = 40, domains: tuple[str, ...] = DOMAINS) -> str:
    cells = tuple(
        CellPlan(domain=domain, difficulty=level, wording=wording, rows=rows)
        for domain in domains
        for level in (1, 2)
        for wording in (0, 1)
    )
    return build(SnapshotPlan(seed="test", cells=cells), folder).uri


def memorise(folder: Path, pairs: list[tuple[str, str]], steps: int = 120) -> None:
    """Teach the model of a folder these (question, output) pairs by heart, all of its weights trained."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    rows = [tokenizer(f"{question}{output}{tokenizer.eos_token}")["input_ids"] for question, output in pairs]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
    targets = ids.masked_fill(ids == tokenizer.pad_token_id, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        model(input_ids=ids, labels=targets).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
