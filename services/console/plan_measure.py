"""`aevolve plan --measure`: how fast this machine trains and answers with the campaign's model, in about a minute.

Trains by the trainer's own supervised learner (the recipe's adapter, batches, optimizer; one core of a processor) on
the campaign's own rows where they lie in files here, or else on rows of the largest length. Generates by the oracle's
own decoding from the questions of these rows. A method that generates or compares is estimated from these two figures.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from schemas.campaign import Campaign
from services.console.campaign_file import training_rows, with_task_folder
from services.console.client import settings_from_environment
from services.console.embedded.base_model import base_folder, is_model
from services.runtime.places import places
from services.runtime.storage.model_folders import OFFLINE, load_tokenizer, misfit_named
from services.runtime.user_error import UserError
from sizing import speed
from sizing.devices import DEVICES, PROCESSOR
from sizing.plan import Plan
from sizing.traits import Traits
from tasks.suite import SuiteRefused

if TYPE_CHECKING:
    from schemas.rows import Row
    from services.trainer.batches import Example

ROWS = 256
"""Rows whose lengths are averaged."""

SECONDS = 15.0
"""Of training, and of generation, that are aimed at."""

QUESTIONS = {True: 64, False: 16}
"""Questions that are answered side by side, on an accelerator and on a processor."""

STEPS = 16
"""Tokens that are generated for each."""


def device_here(named: str | None) -> str:
    """Name of this machine's device on the command line; an accelerator without one takes the name that is given.

    Raises `UserError` without torch, where another device is named, and for an accelerator without a name.
    """
    try:
        import torch  # noqa: PLC0415 - loads for seconds
    except ModuleNotFoundError as missing:
        raise _not_installed(missing) from missing
    title = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    here = name_of(title) if title else PROCESSOR
    if here is None and named in DEVICES:
        return str(named)
    if here is None:
        raise UserError(f"--measure: {title} is not among {', '.join(DEVICES)}; name the most similar with --device")
    if named not in (None, here):
        raise UserError(f"--device: {named!r}, but --measure measures this machine, which has {here}; leave it out")
    return here


def name_of(title: str) -> str | None:
    """The name of an accelerator on the command line, from its driver's."""
    return next((name for name in DEVICES if all(word in title.lower() for word in name.split("-"))), None)


def _not_installed(missing: ModuleNotFoundError) -> UserError:
    return UserError(f"--measure: {missing.name} is not installed: pip install 'aevolve[trainer]'")


def measured(plan: Plan, file: Path, options: Mapping[str, float]) -> Plan:
    """The plan with this machine's figures in place of the assumed ones, but for those that are given.

    Raises `UserError` where the model is not here, or where the trainer refuses the recipe.
    """
    campaign, start = plan.campaign, time.monotonic()
    settings = with_task_folder(settings_from_environment(), file.absolute().parent)
    base = base_folder(campaign.model, settings.cache)
    if not is_model(base):
        remedy = (
            "run `aevolve demo` once, which makes it" if campaign.model.base == "tiny" else "fetch it, or leave out"
        )
        raise UserError(f"--measure: model.base: {campaign.model.base!r} is not on this machine; {remedy} --measure")
    os.environ |= OFFLINE
    try:
        import torch  # noqa: PLC0415
        from transformers.utils import logging  # noqa: PLC0415

        import services.oracle.engines.local  # noqa: PLC0415
        import services.trainer.methods.sft  # noqa: F401, PLC0415
    except ModuleNotFoundError as missing:
        raise _not_installed(missing) from missing
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.simplefilter("ignore", FutureWarning)
    try:
        tokenizer = load_tokenizer(base)
        examples, rows = _examples(campaign, file, tokenizer)
        trained = _trained_tokens_per_second(plan, base, examples)
        answer = options.get("answer_tokens") or min(
            campaign.model.max_new_tokens, max(1.0, fmean(example.learned for example in examples))
        )
        answers = _answers_per_second(base, examples, answer, trained)
    except Exception as error:
        if not type(error).__module__.startswith("services."):
            raise
        raise UserError(f"--measure: {type(error).__name__}: {error}") from error
    measurement = speed.Measured(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else f"one core of a {plan.device.title}",
        tokens_per_second=trained,
        answers_per_second=answers,
        row_tokens=fmean(example.size for example in examples),
        answer_tokens=answer,
        rows=rows,
        seconds=time.monotonic() - start,
    )
    return with_figures(plan, measurement, options)


def with_figures(plan: Plan, measurement: speed.Measured, options: Mapping[str, float]) -> Plan:
    """The plan whose assumptions give the measured speeds; options that were given stay."""
    shapes, device = plan.model.shapes, plan.device
    one = plan.recipe.model_copy(update={"devices": 1, "sharding": "replicated", "activations": "kept"})
    lengths = replace(
        plan.model.assumptions,
        row_tokens=measurement.row_tokens,
        answer_tokens=measurement.answer_tokens,
        utilisation=1,
        decoding=1,
    )
    traits = Traits(every_weight=plan.traits(one).every_weight)
    utilisation = measurement.tokens_per_second / speed.tokens_per_second(shapes, one, traits, device, lengths)
    decoding = measurement.answers_per_second / speed.answers_per_second(shapes, device, lengths)
    assumptions = replace(lengths, **{"utilisation": utilisation, "decoding": decoding, **options})
    notes = tuple(note for note in plan.model.notes if not note.startswith(("row_tokens", "utilisation")))
    return replace(plan, model=replace(plan.model, assumptions=assumptions, measured=measurement, notes=notes))


def _examples(campaign: Campaign, file: Path, tokenizer: Any) -> tuple[list[Example], str]:
    """Sequences to train on, and where they come from, in words."""
    from services.trainer.batches import Example, encode  # noqa: PLC0415 - loads numpy

    length, answer = campaign.model.max_length, min(campaign.model.max_new_tokens, campaign.model.max_length - 1)
    traced = campaign.recipe.traces > 0
    examples = encode(tokenizer, [(row, traced) for row in _rows(campaign, file)], campaign.model.form)
    if fitting := [example for example in examples if example.size <= length]:
        return fitting, "the campaign's rows"
    filler = Example(tuple(1 + at % 7 for at in range(length)), ((length - answer, length),), 0)
    return [filler], "rows of the largest length"


def _rows(campaign: Campaign, file: Path) -> list[Row]:
    """Some of the campaign's training rows: of its files, or puzzles; none where its rows come from elsewhere."""
    from schemas.rows import Row  # noqa: PLC0415
    from schemas.sources import FilesSource  # noqa: PLC0415
    from tasks.puzzles.draw import draw  # noqa: PLC0415

    law, recipe = campaign.constitution, campaign.recipe
    if not law.suites and not law.data:
        each = {"difficulty": recipe.difficulty, "wordings": recipe.wordings, "split": "train", "seed": "measure"}
        items = [(item, "") for domain in law.domains for item in draw(domain, ROWS // len(law.domains), **each)]  # type: ignore[arg-type]
    else:
        with places(with_task_folder(settings_from_environment(), file.absolute().parent)) as opened:
            try:
                by_source = training_rows(campaign, opened)
            except SuiteRefused as refused:
                raise UserError(f"{file}: constitution.{refused}") from refused
        forms = {s.name: s.form for s in (law.data.sources if law.data else ()) if isinstance(s, FilesSource)}
        items = [(item, forms[name]) for name, rows in by_source.items() for item in rows]
    step = max(1, len(items) // ROWS)
    return [
        Row(item.domain, item.difficulty, item.wording, item.prompt, item.answer, item.trace, item.core, form=form)
        for item, form in items[::step]
    ]


def _trained_tokens_per_second(plan: Plan, base: Path, examples: list[Example]) -> float:
    """Tokens per second of the trainer's supervised steps, after one row that warms it up."""
    from services.trainer.batches import Data  # noqa: PLC0415
    from services.trainer.job import TrainingJob  # noqa: PLC0415
    from services.trainer.methods.sft import Supervised  # noqa: PLC0415

    changes = {"devices": 1, "sharding": "replicated", "activations": "kept", "checkpoint": "last", "epochs": 0.0}
    recipe = plan.recipe.model_copy(update=changes)
    cycled = [examples[at % len(examples)] for at in range(recipe.batch)]
    with tempfile.TemporaryDirectory(prefix="aevolve-measure-") as scratch:
        job = TrainingJob(
            candidate="measure",
            recipe=recipe,
            base=str(base),
            snapshot=scratch,
            seed=0,
            max_length=plan.campaign.model.max_length,
            prompt=plan.campaign.model.form,
            work=scratch,
            out=scratch,
            copies=scratch,
        )
        learner = Supervised(job, Data([[cycled[0]]], cycled[:1], 0), base)
        learner.model.train()
        per_token = _step_seconds(learner, cycled[:1]) / cycled[0].size
        batch = cycled[: max(1, round(SECONDS / 2 / per_token / fmean(example.size for example in cycled)))]
        seconds, tokens = 0.0, 0
        while not tokens or seconds < SECONDS / 2:
            seconds += _step_seconds(learner, batch)
            tokens += sum(example.size for example in batch)
    return tokens / seconds


def _step_seconds(learner: Any, batch: list[Example]) -> float:
    """Wall time of one optimizer step."""
    from services.trainer.optimizer import update  # noqa: PLC0415

    start = time.perf_counter()
    learner.learn(batch)  # its loss is read, so the device has finished
    update(learner.optimizer, learner.job.recipe, 0)
    return time.perf_counter() - start


def _answers_per_second(base: Path, examples: list[Example], answer: float, trained: float) -> float:
    """Answers of a mean length per second, questions read and tokens written side by side."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    from services.oracle.harness.asked import padded  # noqa: PLC0415
    from services.oracle.harness.attention import use_products  # noqa: PLC0415

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    with misfit_named(base):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, trust_remote_code=False, use_safetensors=True
        )
    model = loaded.to("cuda" if cuda else "cpu").eval()
    use_products(model)
    length = fmean(max(1, example.prompt) for example in examples)
    rows = max(1, min(QUESTIONS[cuda], round(SECONDS * trained / length)))
    questions = [
        list(examples[at % len(examples)].tokens[: examples[at % len(examples)].prompt] or (1,)) for at in range(rows)
    ]
    ids, mask = (tensor.to(model.device) for tensor in padded(questions, 0))
    _generation_seconds(model, ids[:1], mask[:1], 2)
    reading = _generation_seconds(model, ids, mask, 1)
    writing = (_generation_seconds(model, ids, mask, 1 + STEPS) - reading) / STEPS
    return rows / (reading + max(writing, 1e-9) * answer)


def _generation_seconds(model: Any, ids: Any, mask: Any, tokens: int) -> float:
    """Wall time of this many greedy tokens after each question, by the oracle's decoding, whatever they are."""
    import torch  # noqa: PLC0415

    from services.oracle.harness.decode import can_shrink, decode  # noqa: PLC0415

    start = time.perf_counter()
    with torch.inference_mode():
        if can_shrink(model):
            written = decode(model, ids, mask, ids.shape[1] + tokens, (), 0)
        else:
            lengths = {"min_new_tokens": tokens, "max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}
            written = model.generate(input_ids=ids, attention_mask=mask, **lengths)
        written.sum().item()  # waits for the device
    return time.perf_counter() - start
