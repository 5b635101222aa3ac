"""Models of the Hugging Face hub that `aevolve fetch` has brought to this machine."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.campaign import Model
from services.runtime.settings import cache_folder

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""A model's id on the hub."""


def hub_folder(base: str, revision: str | None, cache: Path) -> Path:
    """Where a revision of a model lies once it is fetched."""
    return cache / "models" / f"{base.replace('/', '--')}@{(revision or 'main').replace('/', '--')}"


def is_fetched(model: Model) -> bool:
    """Whether a campaign's model of the hub is in the user's cache."""
    place = hub_folder(model.base, model.revision, cache_folder())
    return bool(HUB_ID.fullmatch(model.base)) and (place / "config.json").is_file()
