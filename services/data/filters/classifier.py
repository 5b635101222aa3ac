"""A user-supplied classifier as a filter: a Hugging Face model that labels texts, such as a safety or quality model.

It sees meaning where the lexicon of `safety` sees words. The constitution pins its files by hash, so equal rows have
equal verdicts.
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
"""Maximum tokens read at a time, unless the tokenizer states fewer."""


class ClassifierRefused(Exception):
    """A classifier cannot be used; the message names the field, the value and the remedy."""


class Classifier:
    """Drops a row if any part of it gets one of the labels; the reason is the label, the detail its probability."""

    def __init__(self, rule: ClassifierRule) -> None:
        self.name, self._threshold = rule.name, rule.threshold
        folder = _checked(rule)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)  # sums must not depend on the number of free cores
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, trust_remote_code=False
        )
        self._model = model.to(device).eval()
        self._labels = _indices(rule, model.config.label2id)
        self._tokens = min(LONGEST, self._tokenizer.model_max_length)

    def judge(self, row: Row) -> Row | Dropped:
        """The row, unless a part of it gets a label that drops."""
        probabilities = self._probabilities(text_of(row))
        worst = max(self._labels, key=lambda label: float(probabilities[self._labels[label]]))
        probability = float(probabilities[self._labels[worst]])
        return row if probability < self._threshold else Dropped(self.name, worst, f"{probability:.2f}")

    @torch.inference_mode()
    def _probabilities(self, text: str) -> torch.Tensor:
        """Highest probability of each label over the parts of a long text. Shape (labels,)."""
        parts = self._tokenizer(
            text,
            truncation=True,
            max_length=self._tokens,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        ).to(self._model.device)
        logits = self._model(input_ids=parts["input_ids"], attention_mask=parts["attention_mask"]).logits.float()
        multi_label = self._model.config.problem_type == "multi_label_classification"
        probabilities: torch.Tensor = logits.sigmoid() if multi_label else logits.softmax(dim=-1)
        return probabilities.amax(dim=0)


def _checked(rule: ClassifierRule) -> Path:
    """The folder of the model, verified against the constitution. Raises `ClassifierRefused` or `PickledWeights`."""
    field = f"data.filters.classifiers: {rule.name}"
    folder = Path(rule.model)
    if not (folder / "config.json").is_file():
        raise ClassifierRefused(
            f"{field}: model {rule.model!r} has no config.json; put a Hugging Face classifier there, on the data "
            "service's machine"
        )
    if (actual := hash_folder(folder)) != rule.sha256:
        raise ClassifierRefused(
            f"{field}: sha256 {rule.sha256!r}, but the files of {rule.model} have {actual!r}; restore them, or start a "
            "campaign that names this hash"
        )
    refuse_pickles(folder)
    return folder


def _indices(rule: ClassifierRule, indices: dict[str, int]) -> dict[str, int]:
    """Label -> its index in the model's outputs. Raises `ClassifierRefused` for an unknown label."""
    if unknown := [label for label in rule.drop if label not in indices]:
        raise ClassifierRefused(
            f"data.filters.classifiers: {rule.name}: drop {unknown[0]!r} is no label of {rule.model}; "
            f"give one of {', '.join(sorted(indices))}"
        )
    return {label: indices[label] for label in rule.drop}
