"""Of a target that fits no form, only the mistakes in the form that was meant are told: the one that `kind` names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from schemas.campaign import Constitution

PLACE = ("constitution", "target")

FORMS: dict[str, type[BaseModel]] = {
    get_args(form.model_fields["kind"].annotation)[0]: form
    for form in get_args(Constitution.model_fields["target"].annotation)
    if isinstance(form, type) and issubclass(form, BaseModel)
}
"""Form of a target by its `kind`."""

NAMES = {form.__name__ for form in FORMS.values()}
"""How pydantic names a form in the place of a mistake; people have not written it."""


def meant(errors: Iterable[ErrorDetails], data: Any) -> Iterator[ErrorDetails]:
    """The errors as they are, but of the target those of the form that was meant, and one line where none was."""
    constitution = data.get("constitution")
    target = constitution.get("target") if isinstance(constitution, dict) else None
    kind = target.get("kind") if isinstance(target, dict) else target
    form = FORMS.get(str(kind)) if isinstance(target, dict) else None
    elsewhere, here = _split(errors)
    yield from elsewhere
    if form:
        name = form.__name__  # pydantic names a form with validators as function-after[validator(), Form]
        for detail in here:
            if str(detail["loc"][2]).rstrip("]").endswith(name):
                yield {**detail, "loc": (*PLACE, name, *detail["loc"][3:])}
    elif here:
        words = f"write `sealed`, or keys with a kind, which is one of: {', '.join(sorted(FORMS))}"
        yield {**here[0], "type": "target", "loc": PLACE, "msg": words, "input": kind}


def _split(errors: Iterable[ErrorDetails]) -> tuple[list[ErrorDetails], list[ErrorDetails]]:
    """Those elsewhere, and those in a form of the target."""
    apart: tuple[list[ErrorDetails], list[ErrorDetails]] = ([], [])
    for detail in errors:
        apart[detail["loc"][:2] == PLACE and len(detail["loc"]) > 2].append(detail)
    return apart
