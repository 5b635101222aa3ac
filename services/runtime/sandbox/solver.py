"""The confined process that holds the program: it runs it, then answers calls of its functions, and knows no test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

from services.runtime.sandbox import plain


def serve(work: Mapping[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    """Run the program, say whether it could be run, and answer until nobody asks."""
    names: dict[str, Any] = {"__name__": "program"}
    _say(answers, lambda: exec(work["program"], names), work["message"])  # noqa: S102  # what the fences are for
    for line in requests:
        name, args, kwargs = plain.loads(line)
        call = partial(names.__getitem__(name) if name in names else _undefined, *args, **kwargs)
        _say(answers, call, work["message"], (*args, *kwargs.values()))


def _undefined(*args: Any, **kwargs: Any) -> None:
    raise NameError


def _say(answers: BinaryIO, call: Callable[[], Any], most: int, given: Sequence[Any] = ()) -> None:
    """One answer: how the call ended, and the arguments as it left them; `opaque` where these are no plain values."""
    try:
        value = call()
        same = next((n for n, argument in enumerate(given) if argument is value), None)
        ended: tuple[Any, ...] = ("value", value if same is None else None, same)
    except BaseException as error:  # noqa: BLE001  # whatever the program raises is its answer
        ended = ("raised", [kind.__name__ for kind in type(error).__mro__], _plain_arguments(error))
    try:
        line = plain.dumps((*ended, list(given)))
    except (RecursionError, TypeError, ValueError):
        line = b""
    answers.write(line if 0 < len(line) <= most else plain.dumps(("opaque", None)))
    answers.flush()


def _plain_arguments(error: BaseException) -> list[Any]:
    """The arguments of an exception; none where they are not plain."""
    try:
        plain.dumps(error.args)
    except (RecursionError, TypeError, ValueError):
        return []
    return list(error.args)
