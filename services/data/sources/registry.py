"""From a source of the campaign file to the source: the table of kinds.

A kind's module is loaded only when a campaign has such a source: nobody waits for, or needs, libraries of others.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from services.data.sources.source import Source, SourceFailed

KINDS = {
    "web": "services.data.sources.web.pages:Web",
    "warc": "services.data.sources.web.warc:Warc",
    "files": "services.data.sources.files:Files",
    "hub": "services.data.sources.hub:Hub",
    "gym": "services.data.sources.gym:Gym",
}
"""Module and class of each kind; the class takes the source's part of the campaign file, the round and a seed."""

EXTRAS = {"gym": "gym"}
"""Extra of the distribution that a kind needs besides `data`."""


def make_source(spec: Any, round_: int, seed: int = 0) -> Source:
    """The source for a round (1, 2, ...); the seed is the campaign's.

    Raises `KeyError` for a kind that is not of this table, and `SourceFailed` where its libraries are not installed.
    """
    module, _, name = KINDS[spec.kind].partition(":")
    try:
        made = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(spec.kind, "data")
        told = f"data.sources: {spec.name}: kind {spec.kind!r} needs {error.name}, which is not installed"
        raise SourceFailed(f"{told}; pip install 'aevolve[{extra}]'") from error
    return cast(Source, made(spec, round_, seed))
