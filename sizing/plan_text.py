"""A plan in words: for people a table, for programs the same figures."""

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
    "gathered": "weights borrowed for a pass (FSDP)",
    "activations": "activations",
    "logits": "logits",
    "cache": "KV cache and states, while answers are generated",
}

SMALL = 100_000_000
"""Parameters below which starting a kernel takes longer than the kernel."""


def layout(recipe: Recipe) -> str:
    """How a recipe lies on its devices."""
    many = f"{recipe.devices} devices, {recipe.sharding}" if recipe.devices > 1 else "1 device"
    return f"{recipe.adapter}, {many}, activations {recipe.activations}"


def gib(size: float) -> str:
    """A size as people read it."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.1f} MiB"


def hours(count: float) -> str:
    """A time as people read it."""
    return f"{count:,.1f} h" if count >= 1 else f"{count * 60:,.1f} min" if count >= 1 / 60 else f"{count * 3600:.1f} s"


def count(number: float) -> str:
    """A number of parameters as people read it."""
    return f"{number / 1e9:,.2f} B" if number >= 1e9 else f"{number / 1e6:,.2f} M"


def table(plan: Plan) -> Table:
    """Every figure with its name, in sections."""
    made = Table("what", "figure", title=f"{plan.campaign.name} on {plan.device.title}", title_justify="left")
    for section in (_model, _memory, _time, _money):
        for what, figure in section(plan):
            made.add_row(what, figure)
        made.add_section()
    return made


def _model(plan: Plan) -> Iterator[tuple[str, str]]:
    shapes, recipe = plan.known.shapes, plan.recipe
    trained = shapes.total if recipe.adapter == "full" else shapes.adapter(recipe.target_modules, recipe.rank)
    yield "shapes", plan.known.source
    yield "parameters", count(shapes.total)
    yield "per token, the embedding aside", count(shapes.active)
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
    cache = memory.AT_ONCE * plan.known.shapes.cache(length, 2)
    yield f"scoring: KV cache and states of {memory.AT_ONCE} answers", gib(cache)
    yield "scoring: with the model", f"{gib(memory.evaluation(plan.known.shapes, length))} on {plan.replica} device(s)"


def _time(plan: Plan) -> Iterator[tuple[str, str]]:
    known, recipe = plan.known, plan.recipe
    rate = speed.tokens_per_second(known.shapes, recipe, plan.device, known.assumed)
    yield "tokens of one training", f"{speed.trained_tokens(recipe, known.assumed) / 1e6:,.2f} M"
    yield "operations per token", f"{speed.training(known.shapes, recipe, known.assumed.row_tokens):.3g}"
    yield "tokens per second, all devices", f"{rate:,.0f}"
    yield "one training", hours(plan.training_hours(recipe))
    if plan.training_hours(plan.longest) > plan.training_hours(recipe):
        yield "the longest of the search", hours(plan.training_hours(plan.longest))
    yield f"scoring of {plan.items('dev'):,} dev items", hours(plan.hours_of_items(plan.items("dev")))


def _money(plan: Plan) -> Iterator[tuple[str, str]]:
    law = plan.campaign.constitution
    parts = {
        "a candidate": plan.candidate,
        f"a round of {law.candidates}": plan.round,
        f"the campaign of {law.rounds}": plan.whole,
    }
    for name, spent in parts.items():
        yield f"device-hours, money: {name}", f"{spent:,.2f}   ${spent * plan.price:,.2f}"
    yield "external queries", f"{plan.queries} of {law.budget.external_queries}"


def notes(plan: Plan) -> Iterator[str]:
    """What the figures rest on, and what they leave out."""
    assumed = plan.known.assumed
    yield (
        f"assumed: {assumed.row_tokens:,.0f} tokens per row, {assumed.answer_tokens:,.0f} per answer; training reaches "
        f"{assumed.utilisation:.2%} of the peak, generation {assumed.decoding:.1%} of the memory's bandwidth; "
        f"{USABLE:.0%} of the memory is usable; ${plan.price:g} per device and hour"
    )
    yield from plan.known.assumptions
    if plan.known.shapes.total < SMALL:
        yield "so small a model does not keep an accelerator busy: the times are lower bounds"
    law = plan.campaign.constitution
    if law.lists or law.target != "sealed" or law.guards:
        yield "not in the hours: lists of tasks, guards, and targets outside, whose items nobody knows beforehand"
    limit = law.budget.candidate_seconds / 3600
    if (longest := plan.training_hours(plan.longest) + plan.hours_of_items(plan.items("dev"))) > limit:
        yield (
            f"constitution.budget.candidate_seconds: {law.budget.candidate_seconds:g}; the longest candidate takes "
            f"{hours(longest)}: raise it, or use more devices"
        )


def refusal(plan: Plan) -> str:
    """Why a plan cannot be, and the smallest that can."""
    need, room = plan.memory(plan.largest).total, plan.device.usable
    said = (
        f"recipe.devices: {plan.recipe.devices}; {layout(plan.largest)} needs {gib(need)} per device, and tensors can "
        f"fill {gib(room)} of an {plan.device.title}; "
    )
    if (smallest := plan.smallest()) is None:
        return said + "it fits on no number of them: lower model.max_length, or say adapter: lora"
    return said + f"the smallest that fits: {layout(smallest)} ({gib(plan.memory(smallest).total)})"


def figures(plan: Plan) -> dict[str, Any]:
    """The same for programs; bytes, hours, dollars."""
    known, recipe, law = plan.known, plan.recipe, plan.campaign.constitution
    need = plan.memory(recipe)
    spent = {"candidate": plan.candidate, "round": plan.round, "campaign": plan.whole}
    return {
        "campaign": plan.campaign.name,
        "device": plan.device.title,
        "devices": recipe.devices,
        "price": plan.price,
        "shapes": known.source,
        "parameters": known.shapes.total,
        "active": known.shapes.active,
        "memory": {**vars(need), "total": need.total, "usable": plan.device.usable},
        "tokens": speed.trained_tokens(recipe, known.assumed),
        "tokens_per_second": speed.tokens_per_second(known.shapes, recipe, plan.device, known.assumed),
        "training_hours": plan.training_hours(recipe),
        "candidate_hours": plan.candidate_hours,
        "device_hours": spent,
        "dollars": {part: hours * plan.price for part, hours in spent.items()},
        "external_queries": {"planned": plan.queries, "budget": law.budget.external_queries},
        "assumed": vars(known.assumed),
        "notes": list(notes(plan)),
    }
