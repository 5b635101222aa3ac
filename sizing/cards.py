"""Model cards: shapes from published configurations, for plans without the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sizing.families import shapes
from sizing.shapes import Shapes
from sizing.speed import Assumptions

CARDS = Path(__file__).parents[1] / "deploy" / "models"


@dataclass(frozen=True)
class Card:
    """One file of `deploy/models`."""

    model: str
    """Name of the model's folder."""
    config: dict[str, Any]
    """The keys of the model's `config.json` that determine its shapes."""
    shapes: Shapes
    total: float
    """Parameters as published."""
    active: float
    """Parameters per token as published, the embedding included."""
    assumptions: Assumptions
    sources: tuple[str, ...]
    """Where the shapes come from."""
    notes: tuple[str, ...]
    """What no source states, and the basis of the assumed figures."""


def read(file: Path) -> Card:
    """The card of a file. Raises `ShapesUnknown`, `KeyError` or `TypeError` if it is malformed."""
    card = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Card(
        model=card["model"],
        config=card["config"],
        shapes=shapes(card["config"]),
        total=card["published"]["total"],
        active=card["published"]["active"],
        assumptions=Assumptions(**card["assumed"]),
        sources=tuple(card["sources"]),
        notes=tuple(card["assumptions"]),
    )


def cards() -> dict[str, Card]:
    """All committed cards, by the name of the model's folder."""
    return {card.model: card for card in map(read, sorted(CARDS.glob("*.yaml")))}
