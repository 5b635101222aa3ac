"""The options of `aevolve plan`."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

planning = typer.Typer()


@planning.command()
def plan(
    file: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    device: Annotated[
        str, typer.Option(help="h200, h100, b200, a100, l40s or rtx-pro-6000, with its memory, speed and usual price.")
    ] = "h200",
    devices: Annotated[
        int | None, typer.Option(min=1, help="Devices of one training.", show_default="the recipe's")
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Dollars per device and hour.", show_default="as assumed of the device")
    ] = None,
    row_tokens: Annotated[
        float | None, typer.Option(min=1, help="Mean tokens of a row.", show_default="the card's, or full sequences")
    ] = None,
    answer_tokens: Annotated[
        float | None, typer.Option(min=1, help="Mean tokens of an answer.", show_default="the card's, or the most")
    ] = None,
    utilisation: Annotated[
        float | None,
        typer.Option(min=1e-4, max=1, help="Share of the peak that training reaches.", show_default="the card's"),
    ] = None,
    shapes: Annotated[
        Path | None, typer.Option(help="A config.json, or a card as in deploy/models, in place of the base's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what a campaign takes before it starts: memory per device, hours, money; exit status 2 where it cannot fit.

    Works from files alone: neither a device nor the model is needed.
    """
    from services.console.commands import plan_command

    options = {
        "devices": devices,
        "price": price,
        "row_tokens": row_tokens,
        "answer_tokens": answer_tokens,
        "utilisation": utilisation,
    }
    plan_command.plan(file, options, device, shapes, as_json=as_json)
