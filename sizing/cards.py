"""Cards of models: shapes from published configurations, for plans that are made where the model is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sizing.families import shapes
from sizing.shapes import Shapes
from sizing.speed import Assumed

CARDS = Path(__file__).parents[1] / "deploy" / "models"


@dataclass(frozen=True)
class Card:
    """One file of `deploy/models`."""

    model: str
    """Name of the model's folder."""
    config: dict[str, Any]
    """Keys of the model's `config.json` that its shapes follow from."""
    shapes: Shapes
    total: float
    """Parameters as published."""
    active: float
    """Parameters per token as published, the embedding included."""
    assumed: Assumed
    sources: tuple[str, ...]
    """Where the shapes come from."""
    assumptions: tuple[str, ...]
    """What no source says, and what the assumed figures follow from."""


def read(file: Path) -> Card:
    """The card of a file. Raises `ShapesUnknown`, `KeyError` or `TypeError` where it is not as it should be."""
    held = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Card(
        model=held["model"],
        config=held["config"],
        shapes=shapes(held["config"]),
        total=held["published"]["total"],
        active=held["published"]["active"],
        assumed=Assumed(**held["assumed"]),
        sources=tuple(held["sources"]),
        assumptions=tuple(held["assumptions"]),
    )


def cards() -> dict[str, Card]:
    """All committed cards, by the name of the model's folder."""
    return {card.model: card for card in map(read, sorted(CARDS.glob("*.yaml")))}
