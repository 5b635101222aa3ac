"""Estimate a campaign from files alone, without a device and without the model; or with what this machine measures."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.runtime.user_error import UserError, nearest

if TYPE_CHECKING:
    from sizing.plan import Plan

group = typer.Typer()

USUAL = "h200"
"""Device unless another is named."""


@group.command()
def plan(
    file: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    device: Annotated[
        str | None,
        typer.Option(
            help="h200, h100, b200, a100, l40s, rtx-pro-6000, or cpu, this machine's: sets memory, speed, usual price.",
            show_default="h200",
        ),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Devices of one training.", show_default="the recipe's")
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Dollars per device and hour.", show_default="the device's usual price")
    ] = None,
    row_tokens: Annotated[
        float | None, typer.Option(min=1, help="Mean tokens of a row.", show_default="the card's, or full sequences")
    ] = None,
    answer_tokens: Annotated[
        float | None, typer.Option(min=1, help="Mean tokens of an answer.", show_default="the card's, or the limit")
    ] = None,
    utilisation: Annotated[
        float | None,
        typer.Option(min=1e-4, max=1, help="Share of the peak that training reaches.", show_default="the card's"),
    ] = None,
    shapes: Annotated[
        Path | None, typer.Option(help="A config.json, or a card as in deploy/models, instead of the base's.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings at a time.", show_default="all candidates; cpu: one per core"),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Train and generate for a minute on this machine, and use its figures.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate memory per device, hours and money of a campaign before it starts; exit status 2 if it cannot fit."""
    import json

    from rich.console import Console

    from sizing import plan_text

    assumptions = {"row_tokens": row_tokens, "answer_tokens": answer_tokens, "utilisation": utilisation}
    options = {"devices": devices, "price": price, "workers": workers, **assumptions}
    if measure:
        from services.console.plan_measure import device_here, measured

        device = device_here(device)
    estimate = prepare(file, options, device or USUAL, shapes)
    if not estimate.fits(estimate.largest):
        raise UserError(f"{file}: {plan_text.refusal(estimate)}")
    if measure:
        estimate = measured(estimate, file, {name: value for name, value in assumptions.items() if value is not None})
    if as_json:
        typer.echo(json.dumps(plan_text.figures(estimate), indent=1))
        return
    Console().print(plan_text.table(estimate))
    for note in plan_text.notes(estimate):
        typer.echo(f"- {note}")
    for line in plan_text.deadlines(estimate):
        typer.echo(f"! {line}")


def prepare(file: Path, options: dict[str, float | None], device: str, shapes: Path | None) -> Plan:
    """The plan of a campaign file; options that are not None replace assumptions. Raises `UserError`."""
    from dataclasses import replace

    from pydantic import ValidationError

    from services.console.campaign_file import load
    from services.console.plan_model import planned_model
    from services.trainer.registry import traits
    from sizing import speed
    from sizing.devices import DEVICES, PROCESSOR
    from sizing.devices import device as device_of
    from sizing.plan import Plan

    campaign = load(file, with_base=False)
    model = planned_model(campaign.model, shapes)
    chosen = {option: value for option, value in options.items() if value is not None}
    devices, price, workers = (chosen.pop(name, None) for name in ("devices", "price", "workers"))
    if devices is not None:
        try:
            recipe = campaign.recipe.replace("devices", int(devices))
        except ValidationError as error:
            raise UserError(f"--devices: {devices:.0f}; {error.errors()[0]['msg']}") from error
        if devices > 1 and campaign.recipe.devices == 1 and device != "cpu":
            recipe = recipe.replace("sharding", "fsdp")  # several devices hold one training by sharding it
        campaign = campaign.model_copy(update={"recipe": recipe})
    if (kind := device_of(device)) is None:
        raise UserError(f"--device: {device!r} is not known; {nearest(device, [*DEVICES, PROCESSOR])}")
    if kind.cores:  # its share of the peak is another, and the report says so
        notes = tuple(note for note in model.notes if not note.startswith("utilisation"))
        model = replace(model, assumptions=speed.on_processor(model.assumptions, model.shapes), notes=notes)
    model = replace(model, assumptions=replace(model.assumptions, **chosen))
    cost = kind.price if price is None else price
    return Plan(campaign, model, kind, cost, traits, int(workers) if workers else None)
