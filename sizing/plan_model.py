"""Where a plan has a model's shapes from: its folder, a committed card, a file, or how the tiny model is made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from puzzles.vocabulary import vocabulary
from schemas.campaign import Model
from services.runtime.user_error import UserError
from services.trainer.tiny_base.make import SHAPE
from services.trainer.tiny_base.tokenizer import entries
from sizing import cards, families, speed
from sizing.shapes import Shapes
from sizing.speed import Assumed


@dataclass(frozen=True)
class Known:
    """What is known of a campaign's model before it is there."""

    shapes: Shapes
    source: str
    """Where the shapes come from, in words."""
    assumed: Assumed
    assumptions: tuple[str, ...] = ()
    """What the source does not say."""


def known(model: Model, file: Path | None) -> Known:
    """Of a campaign's model, or of the card or `config.json` of a file. Raises `UserError`."""
    try:
        return _of_file(file, model) if file else _of_base(model)
    except families.ShapesUnknown as unknown:
        raise UserError(f"model.base: {model.base!r}; {unknown}") from unknown


def _of_base(model: Model) -> Known:
    if model.base == "tiny":
        return _plain(tiny(), "as the tiny model is made", model)
    folder, committed = Path(model.base), cards.cards()
    if (folder / "config.json").is_file():
        return _plain(families.read(folder), str(folder / "config.json"), model)
    if (card := committed.get(folder.name)) is None:
        raise UserError(
            f"model.base: {model.base!r}; no config.json lies there, and no card has that name: give --shapes with a "
            f"config.json, or name one of {', '.join(committed)}"
        )
    return _of_card(card)


def _of_file(file: Path, model: Model) -> Known:
    if file.suffix in (".yaml", ".yml"):
        return _of_card(cards.read(file))
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--shapes: {file}; {error}: give a config.json, or a card as in deploy/models") from error
    return _plain(families.shapes(config), str(file), model)


def _of_card(card: cards.Card) -> Known:
    return Known(card.shapes, f"card of {card.model}", card.assumed, card.assumptions)


def _plain(shapes: Shapes, source: str, model: Model) -> Known:
    assumed = speed.assumed(shapes, model.max_length, model.max_new_tokens)
    said = (
        "row_tokens, answer_tokens: the most that model.max_length and model.max_new_tokens allow",
        f"utilisation: {assumed.utilisation:g}, of {'mixtures' if shapes.mixture else 'dense models'} in general",
    )
    return Known(shapes, source, assumed, said)


def tiny() -> Shapes:
    """Of the model that is made locally."""
    size = len(entries(vocabulary()))
    return families.shapes({"model_type": "llama", "vocab_size": size, "tie_word_embeddings": True, **SHAPE})
