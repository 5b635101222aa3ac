"""A classifier of the campaign's own choice as a filter: a Hugging Face model that gives texts labels.

The lexicon of `safety` sees words; a model sees what is meant. Which one is fit for a campaign's texts its owner knows:
a guard against harm, a judge of quality. The constitution pins its files by hash, so equal rows have equal verdicts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from schemas.rows import Row
from schemas.sources import ClassifierRule
from services.data.filters.filter import Dropped, text_of
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import refuse_pickles

LONGEST = 512
"""Tokens that are read at a time, where the tokenizer does not say less."""


class ClassifierRefused(Exception):
    """A classifier that cannot be used; its text names the field, the value and the remedy."""


class Classifier:
    """Drops a row with a part that has one of the labels; the reason is the label, the detail its probability."""

    def __init__(self, rule: ClassifierRule) -> None:
        self.name, self._threshold = rule.name, rule.threshold
        folder = _checked(rule)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)  # so that a sum does not depend on how many cores are free
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32
        )
        self._model = model.to(device).eval()
        self._labels = _places(rule, model.config.label2id)
        self._tokens = min(LONGEST, self._tokenizer.model_max_length)

    def judge(self, row: Row) -> Row | Dropped:
        """The row, where no part of it has a label that drops."""
        found = self._probabilities(text_of(row))
        worst = max(self._labels, key=lambda label: float(found[self._labels[label]]))
        probability = float(found[self._labels[worst]])
        return row if probability < self._threshold else Dropped(self.name, worst, f"{probability:.2f}")

    @torch.inference_mode()
    def _probabilities(self, text: str) -> torch.Tensor:
        """Of each label, where it is likeliest: a long text is read in parts. Shape (labels,)."""
        parts = self._tokenizer(
            text,
            truncation=True,
            max_length=self._tokens,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        ).to(self._model.device)
        said = self._model(input_ids=parts["input_ids"], attention_mask=parts["attention_mask"]).logits.float()
        several = self._model.config.problem_type == "multi_label_classification"
        likely: torch.Tensor = said.sigmoid() if several else said.softmax(dim=-1)
        return likely.amax(dim=0)


def _checked(rule: ClassifierRule) -> Path:
    """The folder of the model, if it is the one of the constitution. Raises `ClassifierRefused` or `PickledWeights`."""
    said = f"data.filters.classifiers: {rule.name}"
    folder = Path(rule.model)
    if not (folder / "config.json").is_file():
        raise ClassifierRefused(
            f"{said}: model {rule.model!r} holds no config.json; put a Hugging Face classifier there, on the data "
            "service's machine"
        )
    if (found := hash_folder(folder)) != rule.sha256:
        raise ClassifierRefused(
            f"{said}: sha256 {rule.sha256!r}, but the files of {rule.model} have {found!r}; restore them, or start a "
            "campaign that names this hash"
        )
    refuse_pickles(folder)
    return folder


def _places(rule: ClassifierRule, known: dict[str, int]) -> dict[str, int]:
    """Label -> its place among the model's outputs. Raises `ClassifierRefused` for one that it does not have."""
    if unknown := [label for label in rule.drop if label not in known]:
        raise ClassifierRefused(
            f"data.filters.classifiers: {rule.name}: drop {unknown[0]!r} is no label of {rule.model}; "
            f"say one of {', '.join(sorted(known))}"
        )
    return {label: known[label] for label in rule.drop}
