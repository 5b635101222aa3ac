"""The confined process that holds the tests: for the program's functions it has stand-ins that ask the solver.

The program never runs here, so nothing that it does to built-in functions, output, exit status or comparison can touch
the verdict. Its answers are read as data.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from services.oracle.sandbox import plain


class Unanswered(BaseException):
    """The solver is gone or says what is no answer. No test may take it for an exception that it expected."""


def judge(work: Mapping[str, Any], requests: BinaryIO, answers: BinaryIO) -> str:
    """`passed`, or why not, in one of a few fixed words."""
    solver = Solver(requests, answers, work["message"])
    try:
        solver.answer()
    except Exception:  # noqa: BLE001  # the program's own, whatever it is
        return "program raised"
    except Unanswered:
        return "program ended"
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
    except Unanswered:
        return "program ended"
    if solver.lost:  # and the tests caught even that
        return "program ended"
    return "passed" if solver.asked else "nothing asked"


class Solver:
    """The other process, seen from the tests."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO, most: int) -> None:
        self.requests, self.answers, self.most = requests, answers, most
        self.asked, self.lost = 0, False

    def function(self, name: str) -> Callable[..., Any]:
        """A stand-in for one function of the program."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            line = plain.dumps((name, args, kwargs))
            try:
                self.requests.write(line)
                self.requests.flush()
            except OSError:
                self.lost = True
                raise Unanswered from None
            return self.answer()

        return call

    def answer(self) -> Any:
        """The next answer's value. Raises what the program raised, or `Unanswered`."""
        line = self.answers.readline(self.most + 1)
        try:
            kind, value = plain.loads(line)
        except Exception:  # noqa: BLE001  # the solver may say anything
            self.lost = True
            raise Unanswered from None
        if kind == "value":
            return value
        raise _exception(value)


def _exception(name: Any) -> Exception:
    """The built-in exception of this name, so that a test can expect it; `RuntimeError` for every other."""
    kind = vars(builtins).get(name) if isinstance(name, str) else None
    try:
        raised = kind() if isinstance(kind, type) else None
    except TypeError:  # one that is nothing without its arguments
        raised = None
    return raised if isinstance(raised, Exception) else RuntimeError()
