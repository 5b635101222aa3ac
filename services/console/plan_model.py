"""Where a plan takes a model's shapes from: its folder, a committed card, a file, or the tiny model's definition.

A formula gives the shapes of the common families without any library; of others the modules are counted, which loads
torch and transformers.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.campaign import Model
from services.runtime.settings import cache_folder
from services.runtime.storage.hub_models import HUB_ID, hub_folder, is_fetched
from services.runtime.storage.model_folders import INDEX, OFFLINE, ModelMissing, model_config, model_folder
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
    except ModelMissing as missing:
        raise UserError(str(missing)) from missing
    except families.ShapesUnknown as unknown:
        raise UserError(f"model.base: {model.base!r}; {unknown}") from unknown


def _of_base(model: Model) -> PlannedModel:
    if model.base == "tiny":
        return _without_card(tiny(), "definition of the tiny model", model)
    folder, committed = Path(model.base), cards.cards()
    if not (folder / "config.json").is_file() and is_fetched(model):
        folder = hub_folder(model.base, model.revision, cache_folder())
    if (folder / "config.json").exists():
        if (folder / INDEX).exists() or any(folder.glob("*.safetensors")):
            model_folder(str(folder))  # a plan needs the configuration alone, but a damaged model will not run
        return _of_config(folder / "config.json", model_config(folder), model)
    if (card := committed.get(folder.name)) is None:
        raise UserError(
            f"model.base: {model.base!r}; the folder has no config.json, and no card has that name: give --shapes with "
            f"a config.json{_fetch(model)}, or name one of {', '.join(committed)}"
        )
    return _of_card(card)


def _of_file(file: Path, model: Model) -> PlannedModel:
    if file.suffix in (".yaml", ".yml"):
        return _of_card(cards.read(file))
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--shapes: {file}; {error}: give a config.json, or a card as in deploy/models") from error
    if not isinstance(config, dict):
        raise UserError(f"--shapes: {file}; it holds no JSON object: give a config.json, or a card as in deploy/models")
    return _of_config(file, config, model)


def _fetch(model: Model) -> str:
    return f", run `aevolve fetch {model.base}`" if HUB_ID.fullmatch(model.base) else ""


def _of_config(file: Path, config: dict[str, Any], model: Model) -> PlannedModel:
    """The model of a `config.json`: by formula, or counted where no formula knows it."""
    if str(config.get("model_type")) in families.FAMILIES:
        return _without_card(families.shapes(config), str(file), model)
    planned = _without_card(_counted(config), str(file), model)
    note = (
        "shapes: counted from the modules that transformers builds, not computed by a formula; activations and caches "
        "follow from names and widths of layers, within about 30 %; a layer that runs several times counts once"
    )
    return replace(planned, source=f"{file}, counted", notes=(*planned.notes, note))


def _counted(config: dict[str, Any]) -> Shapes:
    os.environ |= OFFLINE
    try:
        from sizing import counted  # noqa: PLC0415 - loads torch
    except ModuleNotFoundError as missing:
        raise UserError(
            f"model_type: {config.get('model_type')!r}; no formula knows it, and counting its layers needs "
            f"{missing.name}, which is not installed: pip install 'aevolve[trainer]'"
        ) from missing
    return counted.shapes(config)


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
