"""`aevolve try`: the base model on a few items, asked and scored exactly as the oracle will, with nothing recorded.

The items come from a set of the campaign under a random key of this command, so they tell nothing about which items the
oracle will draw.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.campaign import Campaign
from schemas.scores import BASE, Kind
from schemas.suites import SETS
from services.console.campaign_file import with_task_folder
from services.console.client import settings_from_environment
from services.console.embedded.base_model import base_folder, is_model, substrate
from services.runtime.jobs.runner import JobFailed
from services.runtime.storage.model_folders import OFFLINE, load_tokenizer
from services.runtime.user_error import UserError

if TYPE_CHECKING:
    from services.oracle.job import EvaluationJob
    from tasks.item import Item


def shown(campaign: Campaign, file: Path, kind: str, items: int) -> Iterator[str]:
    """A line about what is loaded, a block of text per item, then the mean per domain. Raises `UserError`."""
    kinds: dict[str, Kind] = {name: key for key, name in SETS.items()}
    if kind not in kinds:
        raise UserError(f"--set: {kind!r} is no set; give one of {', '.join(kinds)}")
    if kinds[kind] in campaign.constitution.lists:
        raise UserError(f"--set: {kind} is a list of lm-eval tasks; `aevolve tasks {file}` shows them")
    settings = with_task_folder(settings_from_environment(), file.absolute().parent)
    base = base_folder(campaign.model, settings.cache)
    if not is_model(base):
        raise UserError("model.base: tiny is made when a campaign starts; run `aevolve demo` once, or name a model")
    os.environ |= OFFLINE
    few = _with_items(campaign, kinds[kind], items)
    count = items * len(campaign.constitution.domains_of(kinds[kind]))
    yield f"loading {campaign.model.base}, asking {count} items of {kind} ..."
    with _quiet():
        try:
            from services.oracle.evaluate import evaluate  # noqa: PLC0415 - loads torch
            from services.oracle.orders import ScoreOrder  # noqa: PLC0415
            from services.oracle.score_job import evaluation_job  # noqa: PLC0415
        except ModuleNotFoundError as missing:
            raise UserError(f"{missing.name} is not installed: pip install 'aevolve[trainer]'") from missing
        order = ScoreOrder(
            candidate=BASE, kinds=(kinds[kind],), round=0, checkpoint=None, substrate=substrate(base), campaign=few
        )
        with tempfile.TemporaryDirectory(prefix="aevolve-try-") as scratch:
            key = Path(scratch) / "key"
            key.write_text(secrets.token_hex(32))
            places = {"oracle_key_file": key, "artifacts": f"{scratch}/artifacts", "work": Path(scratch) / "work"}
            try:
                job = evaluation_job(order, settings.model_copy(update=places))
                result = evaluate(job, lambda _: None)
            except JobFailed as failed:
                raise UserError(f"{failed.error}: {failed.message}") from failed
            except Exception as error:
                if type(error).__name__ not in _named_failures():
                    raise
                raise UserError(f"{type(error).__name__}: {error}") from error
            yield from _blocks(job, result.measured[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of libraries about packages and kernels that they could use, too."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _with_items(campaign: Campaign, kind: Kind, items: int) -> Campaign:
    """The campaign with this many items in a set."""
    law = campaign.constitution
    spec = getattr(law.evaluation, kind).model_copy(update={"items": items})
    evaluation = law.evaluation.model_copy(update={kind: spec})
    return campaign.model_copy(update={"constitution": law.model_copy(update={"evaluation": evaluation})})


def _named_failures() -> frozenset[str]:
    from services.oracle.score_job import SCORING  # noqa: PLC0415 - loads numpy

    return SCORING.permanent


def _blocks(job: EvaluationJob, measured: Any) -> Iterator[str]:
    from services.oracle.evaluate import Drawn  # noqa: PLC0415
    from services.oracle.receipts import Line, read  # noqa: PLC0415
    from services.oracle.suites import suites_of  # noqa: PLC0415
    from services.runtime.prompting import question, question_ids  # noqa: PLC0415

    tokenizer = load_tokenizer(Path(job.base))
    with suites_of(job) as suites:
        item_set = Drawn.of(job, job.sets[0], suites)
    questions: list[Item] = [item for items in item_set.items.values() for item in items]
    for item, line in zip(questions, read(measured.receipt, measured.receipt.uri, Line), strict=True):
        written = len(tokenizer(line.output, add_special_tokens=False)["input_ids"])
        read_tokens = len(question_ids(item.question, job.form, tokenizer))
        value = line.value if line.value is not None else float(line.correct)
        yield "\n".join(
            (
                f"--- {item.domain}, {read_tokens} tokens read, {written} of {job.max_new_tokens} written",
                question(item.question, job.form, tokenizer).rstrip(),
                f">>> {line.output.strip() or '(nothing)'}",
                f"answer: {item.answer or '(none needed)'}; score {value:g}",
            )
        )
    for domain, score in measured.scores.domains.items():
        yield f"{domain}: mean {score.score:.3f} of {score.n}"
