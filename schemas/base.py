"""What every message is made of: frozen data whose canonical bytes are the same on every machine.

Writers forbid unknown keys, so a typo never enters the log. Readers ignore them (`schemas.registry.parse`), so old code
reads the additive fields of newer events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_serializer

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Lower-case hexadecimal SHA-256."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A probability or a fraction of a whole."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)]
"""A short identifier that is safe in a path, a stream name and a Kafka key."""


class Frozen(BaseModel):
    """Base of all messages: immutable, strict about unknown keys, documented field by field."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Grown(Frozen):
    """A message that is covered by hashes and has got fields since its first release.

    Such a field is left out while it holds its default, so that what was hashed before it existed hashes the same.
    """

    LATER: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that came later; each has a default."""

    @model_serializer(mode="wrap")
    def _without_unused(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        values, set_names = dump(self), self.model_fields_set
        for name, default in _defaults(type(self)):
            if name not in set_names or getattr(self, name) == default:
                values.pop(name, None)
        return values


@cache
def _defaults(model: type[Grown]) -> tuple[tuple[str, Any], ...]:
    """The later fields of a model with their defaults."""
    return tuple((name, model.model_fields[name].get_default(call_default_factory=True)) for name in model.LATER)


CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
"""`json.dumps` would make such an encoder with each call."""


def canonical_json(value: Any) -> str:
    """One spelling for one value: sorted keys, no spaces, shortest float, non-ASCII kept, NaN refused."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return CANONICAL.encode(value)


def digest(value: Any) -> str:
    """SHA-256 (hexadecimal) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
