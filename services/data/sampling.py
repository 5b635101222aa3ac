"""Samples of a causal language model, in batches: the same seed gives the same texts on the same machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.campaign import Model
from services.runtime.storage.model_folders import model_folder


class Writer:
    """A loaded model that continues prompts."""

    def __init__(self, base: Path, adapter: Path | None, model: Model, samples: int, temperature: float) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)  # so that a sum does not depend on how many cores are free
        folder = model_folder(str(base))
        self.limits, self.samples, self.temperature = model, samples, temperature
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32 if device == "cpu" else torch.bfloat16
        )
        self.model = (PeftModel.from_pretrained(loaded, adapter) if adapter else loaded).to(device).eval()

    @torch.inference_mode()
    def write(self, prompts: Sequence[str], seed: str) -> list[list[str]]:
        """`samples` continuations of each prompt; none of one that leaves no room for an answer."""
        room = self.limits.max_length - self.limits.max_new_tokens
        asked = [f"{prompt}\n" for prompt in prompts]
        fitting = [at for at, text in enumerate(asked) if len(self.tokenizer(text)["input_ids"]) <= room]
        said: list[list[str]] = [[] for _ in prompts]
        if not fitting:
            return said
        batch = self.tokenizer([asked[at] for at in fitting], return_tensors="pt", padding=True).to(self.model.device)
        torch.manual_seed(int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16))
        written = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=True,
            temperature=self.temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=self.samples,
            max_new_tokens=self.limits.max_new_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
        )[:, batch["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        for place, at in enumerate(fitting):
            said[at] = texts[place * self.samples : (place + 1) * self.samples]
        return said
