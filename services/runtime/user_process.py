"""The main program of a user's code: confine the process, import the code, and answer calls.

Standard input brings a JSON object per line, `function` and `arguments`; standard output takes `result` or `error`. The
user's code prints to nowhere and reads an empty standard input, so neither can disturb a call.
"""

from __future__ import annotations

import asyncio
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
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from services.runtime.sandbox import kernel, landlock

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/dev", "/proc", "/sys", "/opt")
"""Folders of the system that may be read."""

OWN = ("aevolve", "schemas", "tasks")
"""Our packages that user code may import."""

LONGEST_MESSAGE = 300
"""Characters of an error that are passed on."""


def main() -> None:
    """Answer until standard input ends."""
    parent = os.getppid()
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    order = json.loads(sys.argv[1])
    questions, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)
    try:
        module = imported(**order)
        failure = ""
    except BaseException as error:  # noqa: BLE001 - whatever a user's module raises is the answer
        module, failure = None, words(error, order["target"])
    for line in questions:
        call = json.loads(line)
        answer = {"error": failure} if module is None else result(module, call["function"], call["arguments"])
        try:
            text = json.dumps(answer, allow_nan=True, default=_number)
        except (TypeError, ValueError, RecursionError) as error:
            text = json.dumps({"error": f"its result is no JSON ({error}); return lists, numbers and texts"})
        answers.write(text + "\n")
        answers.flush()


def imported(target: str, readable: list[str], listable: list[str]) -> ModuleType:
    """The user's module, in a process that is confined first."""
    sources = Path(__file__).resolve().parents[2]
    own = [str(sources / package) for package in OWN]
    folders = [*SYSTEM, sys.prefix, sys.base_prefix, *site.getsitepackages(), *sysconfig.get_paths().values()]
    installed = [folder for folder in (*folders, *sys.path) if folder and Path(folder).resolve() != sources]
    landlock.confine([*installed, *own, *readable], tempfile.gettempdir(), listable=[str(sources), *listable])
    kernel.drop_capabilities()  # root could else read the environment of other processes
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
    try:
        function, arguments = _function(module, name, arguments)
        given = accepted(function, arguments)
        try:
            inspect.signature(function).bind(**given)
        except TypeError as misfit:
            raise _Missing(_misfit(function, name, arguments, misfit)) from None
        value = function(**given)
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
        if inspect.isgenerator(value):
            value = list(value)
    except _Missing as missing:
        return {"error": str(missing)}
    except BaseException as error:  # noqa: BLE001 - whatever a user's function raises is the answer
        return {"error": words(error, str(module.__file__))}
    return {"result": value}


def _function(
    module: ModuleType, name: str, arguments: Mapping[str, Any]
) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """A function by its name with the arguments that it gets. Raises `_Missing`."""
    helper, colon, own_name = name.partition(":")
    if colon:
        function: Callable[..., Any] = getattr(importlib.import_module(helper), own_name)
        return function, {**arguments, "module": module}
    target: Any = module
    for part in name.split("."):
        target = getattr(target, part, None)
    if not callable(target):
        names = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
        raise _Missing(f"there is no function {name}; the functions are {', '.join(names) or 'none'}")
    return target, arguments


def _misfit(function: Callable[..., Any], name: str, arguments: Mapping[str, Any], error: TypeError) -> str:
    return (
        f"its signature is {name}{inspect.signature(function)}, which cannot be called ({error}); it is called by name "
        f"as {name}({', '.join(f'{argument}=...' for argument in arguments)}): take those that it needs, or **columns"
    )


class _Missing(Exception):
    """The module has no such function, or one of another signature."""


async def _awaited(value: Any) -> Any:
    return await value


def _number(value: Any) -> Any:
    """A number or array of numpy or torch as Python has it."""
    for name in ("tolist", "item"):
        if callable(convert := getattr(value, name, None)):
            return convert()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def accepted(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a function takes: all, unless its signature names fewer and has no `**`."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(arguments)
    return {parameter.name: arguments[parameter.name] for parameter in parameters if parameter.name in arguments}


def words(error: BaseException, file: str) -> str:
    """An error on one line, with the last line of the user's file that led to it, else the line that raised it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}:{error.lineno}); correct that line"
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    place = next((frame for frame in reversed(frames) if frame[0] == file), frames[-1] if frames else ("", 0))
    message = " ".join(str(error).split())[:LONGEST_MESSAGE]
    return f"{type(error).__name__}: {message} ({Path(place[0]).name}:{place[1]})"
