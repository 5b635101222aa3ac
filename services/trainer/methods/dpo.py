"""Preference pairs: the better answer becomes likelier than the worse one, as measured against the base.

DPO (arXiv 2305.18290) by TRL. The reference is the base beside the untrained adapter, so no second model is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from services.trainer.batches import HELD_OUT_ROWS, arrange, turns
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.encoding import pair_tokens
from services.trainer.job import TrainingJob
from services.trainer.layout import MICRO_TOKENS
from services.trainer.learner import in_steps
from services.trainer.methods.trl_job import InTrl, per_step, rows_per_pass
from services.trainer.preflight import check_share
from services.trainer.rows import Draw, Sieve, draws, snapshot, split, steps

EVERY = 50
"""Steps between two checkpoints."""


@dataclass(frozen=True)
class Pair:
    """Two answers to a question, in tokens; each with the end of an answer."""

    prompt: tuple[int, ...]
    """The question, as in the other methods and in evaluation."""
    chosen: tuple[int, ...]
    """The better answer."""
    rejected: tuple[int, ...]
    """The worse one."""
    difficulty: int
    """1, 2 or 3; 0 if the row is ungraded."""

    @property
    def size(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def tokens(self) -> int:
        """Tokens of both sequences."""
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def columns(self) -> dict[str, list[int]]:
        """The pair as TRL's collator takes it."""
        return {"prompt_ids": list(self.prompt), "chosen_ids": list(self.chosen), "rejected_ids": list(self.rejected)}


def pairs(job: TrainingJob, tokenizer: Any) -> Sieve[Pair]:
    """Makes pairs of drawn rows; a row without a worse answer has none."""

    def make(draws_: Sequence[Draw]) -> list[tuple[Pair, ...] | str]:
        last_turns = [turns(row, traced=True)[-1:] if row.rejected and row.prompt else [] for row, _ in draws_]
        usable = [(row, *of_row[0]) for (row, _), of_row in zip(draws_, last_turns, strict=True) if of_row]
        questions = [question for _, question, _ in usable]
        better = pair_tokens(tokenizer, questions, [text for _, _, text in usable], job.prompt)
        worse = pair_tokens(tokenizer, questions, [row.rejected for row, _, _ in usable], job.prompt)
        examples = (
            Pair(prompt, chosen, rejected, row.difficulty)
            for (row, _, _), (prompt, chosen), (_, rejected) in zip(usable, better, worse, strict=True)
        )
        return [(next(examples),) if of_row else "no_pair" for of_row in last_turns]

    return Sieve(
        make,
        job.max_length,
        f"recipe.method: dpo needs rows with a better and a worse answer (columns chosen and rejected) of at most "
        f"{job.max_length} tokens with their prompt (model.max_length); the snapshot has none: give data of pairs, "
        "raise max_length, or use method: sft",
    )


class Preferring(InTrl):
    """A job whose rows are preference pairs."""

    def __init__(self, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks = SINGLE_RANK) -> None:
        recipe, cells = job.recipe, snapshot(job)
        train, held_out = split(cells, job.seed)
        of_step = per_step(recipe.batch, 1, ranks.world)
        sieve, n = pairs(job, tokenizer), steps(recipe, cells)
        training = sieve.take(draws(recipe, train, job.seed), n * of_step)
        sieve.check_domains(recipe, train)
        check_share(job, len(training), sieve.too_long)
        batches = arrange(training, recipe.model_copy(update={"batch": of_step, "packing": "buckets"}), job.seed)
        self.pairs = [pair for batch in batches for pair in batch]
        self.held_out_pairs: list[Pair] = []
        if recipe.checkpoint == "best":
            self.held_out_pairs = pairs(job, tokenizer).take(draws(recipe, held_out, job.seed), HELD_OUT_ROWS)
        super().__init__(in_steps(job, n), tokenizer, base, ranks)
        self.too_long, self.left_out = sieve.too_long, sieve.left_out
        self.tokens = sum(pair.tokens for pair in self.pairs)
        self.adopt(self._trainer(of_step // ranks.world))

    @classmethod
    def begin(cls, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks) -> Self:
        """The job with its pairs. Raises as `Sieve`, `check_share`, `snapshot` and `draws` do."""
        return cls(job, tokenizer, base, ranks)

    def _trainer(self, rows: int) -> DPOTrainer:
        at_once = rows_per_pass(rows, self._at_once)
        return _Trainer(
            self.model,
            args=DPOConfig(
                **self.settings(at_once, rows // at_once, EVERY),
                beta=self.job.recipe.beta,
                max_length=None,
                train_sampling_strategy="sequential",
            ),
            train_dataset=Dataset.from_list([pair.columns for pair in self.pairs]),
            processing_class=self.tokenizer,
            optimizers=(self.optimizer, self.schedule()),
        )

    @property
    def _at_once(self) -> int:
        """Most pairs of a forward pass."""
        return max(1, MICRO_TOKENS // (2 * self.job.max_length))

    def held_out_loss(self) -> float:
        """Mean loss on the held-out pairs."""
        self.model.eval()
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(self.held_out_pairs), self._at_once):
                some = self.held_out_pairs[start : start + self._at_once]
                inputs = self.trainer.data_collator([pair.columns for pair in some])
                moved = {name: tensor.to(self.device) for name, tensor in inputs.items()}
                total += float(self.trainer.compute_loss(self.model, moved)) * len(some)
        self.trainer._metrics["eval"].clear()  # noqa: SLF001 - TRL keeps them until it evaluates itself
        self.model.train()
        return total / len(self.held_out_pairs)


class _Trainer(DPOTrainer):
    """TRL's trainer on pairs that are tokens already."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset
