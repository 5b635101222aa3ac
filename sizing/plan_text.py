"""A plan as a table for people, and as JSON figures for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from schemas.recipe import Recipe
from sizing import memory, speed
from sizing.devices import GIB, USABLE
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
    cache = memory.AT_ONCE * plan.model.shapes.cache(length, 2)
    yield f"scoring: KV cache and states of {memory.AT_ONCE} answers", gib(cache)
    yield "scoring: with the model", f"{gib(memory.evaluation(plan.model.shapes, length))} on {plan.replica} device(s)"


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
    assumptions = plan.model.assumptions
    yield (
        f"assumed: {assumptions.row_tokens:,.0f} tokens per row, {assumptions.answer_tokens:,.0f} per answer; "
        f"training reaches {assumptions.utilisation:.2%} of the peak, generation {assumptions.decoding:.1%} of the "
        f"memory's bandwidth; {USABLE:.0%} of the memory is usable; ${plan.price:g} per device and hour"
    )
    yield from plan.model.notes
    if plan.model.shapes.total < SMALL:
        yield "a model this small does not keep an accelerator busy: the times are lower bounds"
    law = plan.campaign.constitution
    if law.lists or law.target != "sealed" or law.guards:
        yield "not in the hours: lists of tasks, guards, and targets outside, whose number of items is unknown"
    limit = law.budget.candidate_seconds / 3600
    if (longest := plan.training_hours(plan.longest) + plan.hours_of_items(plan.items("dev"))) > limit:
        yield (
            f"constitution.budget.candidate_seconds: {law.budget.candidate_seconds:g}; the longest candidate takes "
            f"{hours(longest)}: raise it, or use more devices"
        )


def refusal(plan: Plan) -> str:
    """Why a plan does not fit, and the smallest layout that does."""
    need, room = plan.memory(plan.largest).total, plan.device.usable
    reason = (
        f"recipe.devices: {plan.recipe.devices}; {layout(plan.largest)} needs {gib(need)} per device, and an "
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
        "device_hours": device_hours,
        "dollars": {part: hours * plan.price for part, hours in device_hours.items()},
        "external_queries": {"planned": plan.queries, "budget": law.budget.external_queries},
        "assumed": vars(model.assumptions),
        "notes": list(notes(plan)),
    }
