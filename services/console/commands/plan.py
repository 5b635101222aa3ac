"""Estimate a campaign from files alone, without a device and without the model."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.runtime.user_error import UserError, nearest

if TYPE_CHECKING:
    from sizing.plan import Plan

group = typer.Typer()


@group.command()
def plan(
    file: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    device: Annotated[
        str, typer.Option(help="h200, h100, b200, a100, l40s or rtx-pro-6000: sets memory, speed and usual price.")
    ] = "h200",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate memory per device, hours and money of a campaign before it starts; exit status 2 if it cannot fit."""
    import json

    from rich.console import Console

    from sizing import plan_text

    assumptions = {"row_tokens": row_tokens, "answer_tokens": answer_tokens, "utilisation": utilisation}
    estimate = prepare(file, {"devices": devices, "price": price, **assumptions}, device, shapes)
    if not estimate.fits(estimate.largest):
        raise UserError(f"{file}: {plan_text.refusal(estimate)}")
    if as_json:
        typer.echo(json.dumps(plan_text.figures(estimate), indent=1))
        return
    Console().print(plan_text.table(estimate))
    for note in plan_text.notes(estimate):
        typer.echo(f"- {note}")


def prepare(file: Path, options: dict[str, float | None], device: str, shapes: Path | None) -> Plan:
    """The plan of a campaign file; options that are not None replace assumptions. Raises `UserError`."""
    from dataclasses import replace

    from pydantic import ValidationError

    from services.console.campaign_file import load
    from services.console.plan_model import planned_model
    from services.trainer.registry import traits
    from sizing.devices import DEVICES
    from sizing.plan import Plan

    campaign = load(file, with_base=False)
    model = planned_model(campaign.model, shapes)
    chosen = {option: value for option, value in options.items() if value is not None}
    devices, price = chosen.pop("devices", None), chosen.pop("price", None)
    if devices is not None:
        try:
            recipe = campaign.recipe.replace("devices", int(devices))
        except ValidationError as error:
            raise UserError(f"--devices: {devices:.0f}; {error.errors()[0]['msg']}") from error
        if devices > 1 and campaign.recipe.devices == 1:
            recipe = recipe.replace("sharding", "fsdp")  # several devices hold one training by sharding it
        campaign = campaign.model_copy(update={"recipe": recipe})
    if device not in DEVICES:
        raise UserError(f"--device: {device!r} is not known; {nearest(device, DEVICES)}")
    kind, model = DEVICES[device], replace(model, assumptions=replace(model.assumptions, **chosen))
    return Plan(campaign, model, kind, kind.price if price is None else price, traits)
