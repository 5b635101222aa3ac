"""Where a plan takes a model's shapes from: its folder, a committed card, a file, or the tiny model's definition."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.campaign import Model
from services.runtime.user_error import UserError
from services.trainer.tiny_base.make import SHAPE
from services.trainer.tiny_base.tokenizer import entries
from sizing import cards, families, speed
from sizing.plan import PlannedModel
from sizing.shapes import Shapes
from tasks.puzzles.vocabulary import vocabulary


def planned_model(model: Model, file: Path | None) -> PlannedModel:
    """The model of a campaign, or of a card or a `config.json`. Raises `UserError`."""
    try:
        return _of_file(file, model) if file else _of_base(model)
    except families.ShapesUnknown as unknown:
        raise UserError(f"model.base: {model.base!r}; {unknown}") from unknown


def _of_base(model: Model) -> PlannedModel:
    if model.base == "tiny":
        return _without_card(tiny(), "definition of the tiny model", model)
    folder, committed = Path(model.base), cards.cards()
    if (folder / "config.json").is_file():
        return _without_card(families.read(folder), str(folder / "config.json"), model)
    if (card := committed.get(folder.name)) is None:
        raise UserError(
            f"model.base: {model.base!r}; the folder has no config.json, and no card has that name: give --shapes with "
            f"a config.json, or name one of {', '.join(committed)}"
        )
    return _of_card(card)


def _of_file(file: Path, model: Model) -> PlannedModel:
    if file.suffix in (".yaml", ".yml"):
        return _of_card(cards.read(file))
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--shapes: {file}; {error}: give a config.json, or a card as in deploy/models") from error
    return _without_card(families.shapes(config), str(file), model)


def _of_card(card: cards.Card) -> PlannedModel:
    return PlannedModel(card.shapes, f"card of {card.model}", card.assumptions, card.notes)


def _without_card(shapes: Shapes, source: str, model: Model) -> PlannedModel:
    assumptions = speed.default_assumptions(shapes, model.max_length, model.max_new_tokens)
    notes = (
        "row_tokens, answer_tokens: the most that model.max_length and model.max_new_tokens allow",
        f"utilisation: {assumptions.utilisation:g}, typical of {'mixtures' if shapes.mixture else 'dense models'}",
    )
    return PlannedModel(shapes, source, assumptions, notes)


def tiny() -> Shapes:
    """Shapes of the tiny model."""
    size = len(entries(vocabulary()))
    return families.shapes({"model_type": "llama", "vocab_size": size, "tie_word_embeddings": True, **SHAPE})
