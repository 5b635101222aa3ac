"""The confined process that holds the tests: for the program's functions it has stand-ins that ask the solver.

The program never runs here, so nothing that it does to built-in functions, output, exit status or comparison can touch
the verdict. Its answers are read as data.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from services.runtime.sandbox import plain

STEERING = frozenset(("StopIteration", "StopAsyncIteration"))
"""Exceptions that end a loop over the program's answers without a word."""


class Unanswered(BaseException):
    """The solver is gone, or what it says is no plain value. No test may take it for an exception that it expected."""


class ProgramRaised(Exception):
    """The program raised something of its own, or what would steer the tests: the end of an iteration.

    A test that expects a named exception does not expect this one.
    """


class ProgramLeft(BaseException):
    """The program raised what `except Exception` does not catch."""


def judge(work: Mapping[str, Any], requests: BinaryIO, answers: BinaryIO) -> str:
    """`passed`, or why not, in one of a few fixed words."""
    solver = Solver(requests, answers, work["message"])
    try:
        solver.answer()
    except Exception:  # noqa: BLE001  # the program's own, whatever it is
        return "program raised"
    except ProgramLeft:
        return "program raised"
    except Unanswered:
        return solver.lost
    return _tested(work, solver)


def _tested(work: Mapping[str, Any], solver: Solver) -> str:
    names: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(work["given"], names)  # noqa: S102  # the task's own text
        names.update({name: solver.function(name) for name in work["calls"]})
        exec(work["tests"], names)  # noqa: S102  # the task's own text
    except AssertionError:
        return "test failed"
    except Exception:  # noqa: BLE001  # a test that cannot go on is not passed
        return "test raised"
    except ProgramLeft:
        return "test raised"
    except Unanswered:
        return solver.lost
    if solver.lost:  # and the tests caught even that
        return solver.lost
    return "passed" if solver.asked else "nothing asked"


class Solver:
    """The other process, seen from the tests."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO, most: int) -> None:
        self.requests, self.answers, self.most = requests, answers, most
        self.asked, self.lost = 0, ""

    def function(self, name: str) -> Callable[..., Any]:
        """A stand-in for one function of the program."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            line = plain.dumps((name, args, kwargs))
            try:
                self.requests.write(line)
                self.requests.flush()
            except OSError:
                self.lost = "program ended"
                raise Unanswered from None
            return self.answer(*args, *kwargs.values())

        return call

    def answer(self, *given: Any) -> Any:
        """The next answer's value; what the program changed in its arguments is changed in these.

        Raises what the program raised, or `Unanswered`.
        """
        line = self.answers.readline(self.most + 1)
        try:
            kind, *rest, left = plain.loads(line)
            if kind != "opaque":
                plain.update(given, left)
            if kind == "value":
                value, same = rest
                return value if same is None else given[same]
            raised = Unanswered() if kind == "opaque" else _exception(*rest)
        except Exception:  # noqa: BLE001  # the solver may say anything
            kind, raised = "", Unanswered()
        if isinstance(raised, Unanswered):
            self.lost = "no plain answer" if kind == "opaque" else "program ended"
        raise raised


def _exception(names: Sequence[str], arguments: Sequence[Any]) -> BaseException:
    """The nearest built-in exception among these classes, so that a test can expect it."""
    if STEERING.intersection(names):
        return ProgramRaised()
    kind = next((kind for name in names if isinstance(kind := vars(builtins).get(name), type)), None)
    if kind is None or not issubclass(kind, Exception):
        return ProgramLeft() if kind is not None and issubclass(kind, BaseException) else ProgramRaised()
    if kind is Exception:  # a class of its own, which no test can name
        return ProgramRaised()
    try:
        return kind(*arguments)
    except TypeError:  # one that takes its arguments otherwise
        return ProgramRaised()
