"""Public Python API: read a log, fold it into a campaign's state, and check its chain and its decisions.

    import aevolve
    log = aevolve.load("runs/demo")
    print(log.history().finished)

Names are imported when they are first used, so `import aevolve` loads neither torch nor a database driver.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aevolve.log import Log, load, verify
    from audit.recompute import Recomputed
    from eventstore.integrity.chain import ChainBroken, Head
    from judgement.history import History
    from schemas.campaign import Campaign
    from schemas.envelope import Envelope
    from schemas.recipe import Recipe
    from schemas.registry import EVENTS
    from services.console.campaign_file import load as load_campaign
    from services.runtime.user_error import UserError

try:
    __version__ = version("aevolve")
except PackageNotFoundError:  # a checkout on the path that was not installed
    __version__ = "0+unknown"

__all__ = [
    "EVENTS",
    "Campaign",
    "ChainBroken",
    "Envelope",
    "Head",
    "History",
    "Log",
    "Recipe",
    "Recomputed",
    "UserError",
    "__version__",
    "load",
    "load_campaign",
    "verify",
]

_SOURCES = {
    "EVENTS": "schemas.registry",
    "Campaign": "schemas.campaign",
    "ChainBroken": "eventstore.integrity.chain",
    "Envelope": "schemas.envelope",
    "Head": "eventstore.integrity.chain",
    "History": "judgement.history",
    "Log": "aevolve.log",
    "Recipe": "schemas.recipe",
    "Recomputed": "audit.recompute",
    "UserError": "services.runtime.user_error",
    "load": "aevolve.log",
    "load_campaign": "services.console.campaign_file:load",
    "verify": "aevolve.log",
}
"""Public name -> its module, with its name there where that differs."""


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module 'aevolve' has no attribute {name!r}")
    module, _, attribute = _SOURCES[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
