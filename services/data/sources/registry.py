"""The registry of source kinds. A kind's module is imported only for a campaign that has such a source.

So no kind needs the libraries of another. Kinds of other packages: `services.data.plugins`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import cast

from schemas.sources import AnySource, PluginSource
from services.data.plugins import SOURCES, PluginInvalid, load_plugin
from services.data.sources.source import RoundContext, Source, SourceFailed


@dataclass(frozen=True)
class Kind:
    """One of this package's kinds."""

    target: str
    """Module and class, written as for an entry point."""
    extra: str = "data"
    """Extra of this distribution that the kind needs."""


KINDS = {
    "web": Kind("services.data.sources.web.pages:Web"),
    "warc": Kind("services.data.sources.web.warc:Warc"),
    "files": Kind("services.data.sources.files:Files"),
    "hub": Kind("services.data.sources.hub:Hub"),
    "gym": Kind("services.data.sources.gym:Gym", extra="gym"),
    "suite": Kind("services.data.sources.suite_source:SuiteRows"),
    "self": Kind("services.data.sources.self_source:SelfSampler", extra="trainer"),
}
"""This package's kinds, each read by the model of `schemas.sources` with the same `kind`."""


def make_source(spec: AnySource, context: RoundContext) -> Source:
    """The source of a part of the campaign file. Raises `SourceFailed` if its libraries are not installed."""
    if isinstance(spec, PluginSource):
        try:
            return cast(Source, load_plugin(spec)(spec, context))
        except PluginInvalid as error:
            raise SourceFailed(str(error)) from error
    kind = KINDS[spec.kind]
    try:
        make = EntryPoint(spec.kind, kind.target, SOURCES).load()
    except ModuleNotFoundError as error:
        raise SourceFailed(
            f"data.sources: {spec.name}: kind {spec.kind!r} needs {error.name}, which is not installed; "
            f"pip install 'aevolve[{kind.extra}]'"
        ) from error
    return cast(Source, make(spec, context))
