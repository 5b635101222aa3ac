"""The main program of a user's code: confine the process, import the code, and answer calls.

Standard input brings a JSON object per line, `function` and `arguments`; standard output takes `result` or `error`. What
the user's code prints goes nowhere, so that it cannot be taken for an answer.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import signal
import site
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from services.runtime.sandbox import kernel, landlock

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/dev", "/proc", "/sys", "/opt")
"""Folders of the system that may be read."""

LONGEST_MESSAGE = 300
"""Characters of an error that are passed on."""


def main() -> None:
    """Answer until standard input ends."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    order = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        module = imported(order["target"], order["readable"])
        failure = None
    except BaseException as error:  # noqa: BLE001 - whatever a user's module raises is the answer
        module, failure = None, words(error)
    for line in sys.stdin:
        call = json.loads(line)
        answer = {"error": failure} if module is None else result(module, call["function"], call["arguments"])
        try:
            text = json.dumps(answer, allow_nan=True)
        except (TypeError, ValueError) as error:
            text = json.dumps({"error": f"its result is no JSON ({words(error)}); return lists, numbers and texts"})
        answers.write(text + "\n")
        answers.flush()


def imported(target: str, readable: list[str]) -> ModuleType:
    """The user's module, in a process that is confined first."""
    sources = str(Path(__file__).resolve().parents[2])
    folders = [*SYSTEM, sys.prefix, sys.base_prefix, *site.getsitepackages(), *sysconfig.get_paths().values()]
    readable = [folder for folder in (*folders, *sys.path, *readable) if folder and folder != sources]
    landlock.confine(readable, tempfile.gettempdir())
    if not target.endswith(".py"):
        return importlib.import_module(target)
    sys.path.insert(0, str(Path(target).parent))
    spec = importlib.util.spec_from_file_location(Path(target).stem, target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def result(module: ModuleType, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a function returns to these arguments, or why it returns nothing."""
    target: Any = module
    try:
        for part in name.split("."):
            target = getattr(target, part)
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            value = target(**accepted(target, arguments))
        return {"result": list(value) if inspect.isgenerator(value) or hasattr(value, "__array__") else value}
    except AttributeError as error:
        names = ", ".join(n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_"))
        return {"error": f"{words(error)}; it has {names or 'no function'}"}
    except BaseException as error:  # noqa: BLE001 - as above
        return {"error": words(error)}


def accepted(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a function takes: all, unless its signature names fewer and has no `**`."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(arguments)
    return {parameter.name: arguments[parameter.name] for parameter in parameters if parameter.name in arguments}


def words(error: BaseException) -> str:
    """An error on one line, with the line of the user's file that raised it."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    message = " ".join(str(error).split())[:LONGEST_MESSAGE]
    return f"{type(error).__name__}: {message} ({frames[-1] if frames else 'no line'})"
