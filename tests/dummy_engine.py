"""An engine of another package: every answer is the same."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

from services.oracle.harness.remote import RemoteLM
from services.oracle.job import EngineUse

ANSWER = "the answer of the dummy"


class Dummy:
    def prepare(self, base, base_sha256, model, settings):
        return EngineUse(kind="dummy", url="dummy://here")

    @contextmanager
    def open(self, job, tokenizer):
        def answers(prompts, **_):
            return [SimpleNamespace(text=ANSWER)] * len(prompts), len(prompts)

        def lm(count):
            return RemoteLM(answers, tokenizer, job.max_length, job.max_new_tokens, job.max_length, 1, count, True)

        yield SimpleNamespace(tokenizer=tokenizer, name="dummy 1", precision="none", waits=True, puzzles=lm, tasks=lm)
