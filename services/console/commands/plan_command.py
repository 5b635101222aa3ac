"""`aevolve plan`: a campaign file, weighed without a device."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console

from schemas.campaign import Campaign
from services.console.campaign_file import load
from services.runtime.user_error import UserError, nearest
from sizing import plan_text
from sizing.devices import DEVICES, Device
from sizing.plan import Plan
from sizing.plan_model import known


def plan(file: Path, options: dict[str, float | None], device: str, shapes: Path | None, *, as_json: bool) -> None:
    """Print what a campaign takes. Raises `UserError` where it cannot fit, and says what would."""
    made = prepare(file, options, device, shapes)
    if not made.fits(made.largest):
        raise UserError(f"{file}: {plan_text.refusal(made)}")
    if as_json:
        typer.echo(json.dumps(plan_text.figures(made), indent=1))
        return
    Console().print(plan_text.table(made))
    for note in plan_text.notes(made):
        typer.echo(f"- {note}")


def prepare(file: Path, options: dict[str, float | None], device: str, shapes: Path | None) -> Plan:
    """The plan of a campaign file; options that are not None stand in place of what is assumed. Raises `UserError`."""
    campaign = load(file, with_base=False)
    found = known(campaign.model, shapes)
    given = {option: value for option, value in options.items() if value is not None}
    devices, price = given.pop("devices", None), given.pop("price", None)
    if devices is not None:
        campaign = _on(campaign, int(devices))
    kind = _device(device)
    assumed = replace(found.assumed, **given)
    return Plan(campaign, replace(found, assumed=assumed), kind, kind.price if price is None else price)


def _device(name: str) -> Device:
    if name not in DEVICES:
        raise UserError(f"--device: {name!r} is not known; {nearest(name, DEVICES)}")
    return DEVICES[name]


def _on(campaign: Campaign, devices: int) -> Campaign:
    """The campaign on another number of devices, sharded as soon as there are several."""
    try:
        recipe = campaign.recipe.replace("devices", devices)
    except ValidationError as error:
        raise UserError(f"--devices: {devices}; {error.errors()[0]['msg']}") from error
    if devices > 1 and campaign.recipe.devices == 1:
        recipe = recipe.replace("sharding", "fsdp")
    return campaign.model_copy(update={"recipe": recipe})
