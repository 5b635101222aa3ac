"""A plan as a table for people, and as JSON figures for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from schemas.recipe import Recipe
from sizing import memory, speed
from sizing.activations import HALF
from sizing.devices import GIB, USABLE
from sizing.parts import SINGLE
from sizing.plan import Plan

PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer (AdamW's two moments)",
    "gathered": "weights gathered for a pass (FSDP)",
    "activations": "activations",
    "logits": "logits",
    "cache": "KV cache and states, while answers are generated",
}

SMALL = 100_000_000
"""Parameters below which launching a kernel takes longer than running it."""


def layout(recipe: Recipe) -> str:
    """How a recipe is laid out on its devices."""
    many = f"{recipe.devices} devices, {recipe.sharding}" if recipe.devices > 1 else "1 device"
    return f"{recipe.adapter}, {many}, activations {recipe.activations}"


def gib(size: float) -> str:
    """A size in bytes as text."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.1f} MiB"


def hours(count: float) -> str:
    """A time in hours as text."""
    return f"{count:,.1f} h" if count >= 1 else f"{count * 60:,.1f} min" if count >= 1 / 60 else f"{count * 3600:.1f} s"


def count(number: float) -> str:
    """A number of parameters as text."""
    return f"{number / 1e9:,.2f} B" if number >= 1e9 else f"{number / 1e6:,.2f} M"


def table(plan: Plan) -> Table:
    """Every figure with its name, in sections."""
    rows = Table("what", "figure", title=f"{plan.campaign.name} on {plan.device.title}", title_justify="left")
    for section in (_model, _memory, _time, _money):
        for what, figure in section(plan):
            rows.add_row(what, figure)
        rows.add_section()
    return rows


def _model(plan: Plan) -> Iterator[tuple[str, str]]:
    shapes, recipe = plan.model.shapes, plan.recipe
    trained = memory.trained_weights(shapes, recipe, plan.traits(recipe))
    yield "shapes", plan.model.source
    yield "parameters", count(shapes.total)
    yield "per token, without the embedding", count(shapes.active)
    yield "trained", count(trained)
    yield "layout", layout(recipe)


def _memory(plan: Plan) -> Iterator[tuple[str, str]]:
    need = plan.memory(plan.recipe)
    for part, name in PARTS.items():
        if size := getattr(need, part):
            yield f"memory per device: {name}", gib(size)
    yield "at the peak", f"{gib(need.total)} of {gib(plan.device.usable)} usable"
    if plan.largest != plan.recipe:
        yield "the largest recipe of the search", gib(plan.memory(plan.largest).total)
    length = plan.campaign.model.max_length
    half = plan.device.half
    cache = memory.AT_ONCE * plan.model.shapes.cache(length, HALF if half else SINGLE)
    yield f"scoring: KV cache and states of {memory.AT_ONCE} answers", gib(cache)
    yield (
        "scoring: with the model",
        f"{gib(memory.evaluation(plan.model.shapes, length, half=half))} on {plan.replica} device(s)",
    )


def _time(plan: Plan) -> Iterator[tuple[str, str]]:
    shapes, recipe, assumptions = plan.model.shapes, plan.recipe, plan.model.assumptions
    traits = plan.traits(recipe)
    rate = speed.tokens_per_second(shapes, recipe, traits, plan.device, assumptions)
    yield "tokens of one training", f"{speed.trained_tokens(recipe, traits, assumptions) / 1e6:,.2f} M"
    yield "operations per token", f"{speed.training(shapes, recipe, traits, assumptions.row_tokens):.3g}"
    yield "tokens per second, all devices", f"{rate:,.0f}"
    yield "one training", hours(plan.training_hours(recipe))
    if plan.training_hours(plan.longest) > plan.training_hours(recipe):
        yield "the longest of the search", hours(plan.training_hours(plan.longest))
    yield f"scoring of {plan.items('dev'):,} dev items", hours(plan.hours_of_items(plan.items("dev")))
    law = plan.campaign.constitution
    yield f"a round of {law.candidates} candidates, {plan.at_a_time} at a time", hours(plan.round_hours)
    yield f"the campaign of {law.rounds} rounds", hours(plan.campaign_hours)


def _money(plan: Plan) -> Iterator[tuple[str, str]]:
    law = plan.campaign.constitution
    sections = {
        "a candidate": plan.candidate,
        f"a round of {law.candidates}": plan.round,
        f"the campaign of {law.rounds}": plan.whole,
    }
    for name, device_hours in sections.items():
        yield f"device-hours, money: {name}", f"{device_hours:,.2f}   ${device_hours * plan.price:,.2f}"
    yield "target queries", f"{plan.queries} of {law.budget.external_queries}"


def notes(plan: Plan) -> Iterator[str]:
    """The assumptions of the figures, and what they leave out."""
    assumptions, device = plan.model.assumptions, plan.device
    basis = "used" if plan.model.measured else "assumed"
    bound = "of it" if device.cores else "of the memory's bandwidth"
    yield (
        f"{basis}: {assumptions.row_tokens:,.0f} tokens per row, {assumptions.answer_tokens:,.0f} per answer; "
        f"training reaches {assumptions.utilisation:.2%} of the peak, generation {assumptions.decoding:.1%} {bound}; "
        f"{USABLE:.0%} of the memory is usable; ${plan.price:g} per device and hour"
    )
    yield from plan.model.notes
    if (measured := plan.model.measured) is not None:
        yield (
            f"measured on {measured.device} in {measured.seconds:.0f} s: {measured.tokens_per_second:,.0f} trained "
            f"tokens and {measured.answers_per_second:,.2f} answers per second, with {measured.rows} of "
            f"{measured.row_tokens:,.0f} tokens and answers of {measured.answer_tokens:,.0f}; the other figures follow "
            "from these"
        )
    elif device.cores:
        yield (
            f"rough: {1000 * device.tflops:g} GFLOP/s per core in single precision, typical of AVX2; a training uses "
            "one core; --measure measures this machine"
        )
    if not memory.trained_weights(plan.model.shapes, plan.recipe, plan.traits(plan.recipe)):
        yield (
            f"recipe.target_modules: {', '.join(plan.recipe.target_modules)}; the model has no linear layer of that "
            "name, so the trainer would refuse the recipe: name others, or use adapter: full"
        )
    if plan.model.shapes.total < SMALL and not device.cores:
        yield "a model this small does not keep an accelerator busy: the times are lower bounds"
    law = plan.campaign.constitution
    if law.lists or law.target != "sealed" or law.guards:
        yield "not in the hours: lists of tasks, guards, and targets outside, whose number of items is unknown"


def deadlines(plan: Plan) -> Iterator[str]:
    """A line per deadline that the estimate exceeds, with a value that would do."""
    for deadline in plan.deadlines:
        if deadline.exceeded:
            takes = deadline.what.format(hours(deadline.estimate / speed.HOUR))
            yield (
                f"{deadline.field}: {deadline.value:g}; {takes}: raise it to {deadline.suggested}, lower recipe.steps, "
                "or use more or faster devices"
            )


def refusal(plan: Plan) -> str:
    """Why a plan does not fit, and the smallest layout that does."""
    need, room = plan.memory(plan.largest).total, plan.device.usable
    article = "the" if plan.device.cores else "an"
    reason = (
        f"recipe.devices: {plan.recipe.devices}; {layout(plan.largest)} needs {gib(need)} per device, and {article} "
        f"{plan.device.title} has {gib(room)} for tensors; "
    )
    if (smallest := plan.smallest()) is None:
        return reason + "it fits on no number of them: lower model.max_length, or set recipe.adapter: lora"
    return reason + f"the smallest that fits: {layout(smallest)} ({gib(plan.memory(smallest).total)})"


def figures(plan: Plan) -> dict[str, Any]:
    """The figures of a plan for programs; bytes, hours, dollars."""
    model, recipe, law = plan.model, plan.recipe, plan.campaign.constitution
    traits = plan.traits(recipe)
    need = plan.memory(recipe)
    device_hours = {"candidate": plan.candidate, "round": plan.round, "campaign": plan.whole}
    return {
        "campaign": plan.campaign.name,
        "device": plan.device.title,
        "devices": recipe.devices,
        "price": plan.price,
        "shapes": model.source,
        "parameters": model.shapes.total,
        "active": model.shapes.active,
        "memory": {**vars(need), "total": need.total, "usable": plan.device.usable},
        "tokens": speed.trained_tokens(recipe, traits, model.assumptions),
        "tokens_per_second": speed.tokens_per_second(model.shapes, recipe, traits, plan.device, model.assumptions),
        "training_hours": plan.training_hours(recipe),
        "candidate_hours": plan.candidate_hours,
        "hours": {"candidate": plan.candidate_hours, "round": plan.round_hours, "campaign": plan.campaign_hours},
        "at_a_time": plan.at_a_time,
        "deadlines": [
            {
                "field": deadline.field,
                "value": deadline.value,
                "estimate": deadline.estimate,
                "exceeded": deadline.exceeded,
                "suggested": deadline.suggested if deadline.exceeded else None,
            }
            for deadline in plan.deadlines
        ],
        "device_hours": device_hours,
        "dollars": {part: hours * plan.price for part, hours in device_hours.items()},
        "external_queries": {"planned": plan.queries, "budget": law.budget.external_queries},
        "assumed": vars(model.assumptions),
        "measured": vars(model.measured) if model.measured else None,
        "notes": [*notes(plan), *deadlines(plan)],
    }
