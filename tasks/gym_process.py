"""The part of a gym suite that runs in the process of user code: it draws entries of reasoning-gym and judges answers.

Several of its score functions evaluate an answer as a program (`eval`, sympy's `parse_expr`), so no process that holds
a secret calls them. Each answer has a limit of processor time, since `9**9**9` would never end.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import os
import random
import re
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal

from tasks.formats import core_of
from tasks.split import split_of

CPU_SECONDS, WALL_SECONDS = 5.0, 60.0
"""Longest time of judging one answer; past it the answer is wrong."""

MEMORY = 8 << 30
"""Address space of the process that judges, in bytes."""

LITERALS = ("string_insertion", "spiral_matrix", "number_sorting", "binary_matrix", "n_queens")
"""Tasks that read a list in an answer by `eval`; `ast.literal_eval` reads the same lists and runs nothing."""

INVALID = (AssertionError, TypeError, ValueError)
"""What a data set raises for settings that it does not take."""

KIND, VALUE = "!", "value"
"""Keys of a value that JSON has no form for."""


NONSENSE = "qwertz"
"""No right answer of any data set."""


def refused(module: ModuleType, tasks: Sequence[tuple[str, Mapping[str, Any]]], *, own_score: bool) -> list[str]:
    """Why data sets cannot be used with their settings: one text per fault, none where all can.

    With `own_score` a data set whose score function gives any answer full marks is refused, too.
    """
    from reasoning_gym.factory import DATASETS  # noqa: PLC0415 - 2 s

    faults = []
    for task, settings in tasks:
        if task not in DATASETS:
            near = difflib.get_close_matches(task, DATASETS, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "reasoning_gym.factory.DATASETS lists them"
            faults.append(f"{task!r} is no data set of reasoning-gym; {hint}")
            continue
        spelt = json.dumps(settings)
        try:
            entry = {"task": task, "settings": spelt, "entry": packed(_dataset(task, spelt, 0, 1)[0])}
        except INVALID as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            faults.append(f"{task} does not take the settings {spelt}: {reason}; correct them")
            continue
        if own_score and scored(entry, NONSENSE, "whole") == 1.0:
            faults.append(f"{task}: its own score function accepts any answer; name a scorer, as score: exact")
    return list(dict.fromkeys(faults))


def entries_of(
    module: ModuleType,
    task: str,
    settings: Mapping[str, Any],
    seed: int,
    size: int,
    start: int,
    split: str,
    most: int,
    seconds: float,
) -> dict[str, Any]:
    """Entries of a data set from index `start` that belong to a split, up to `most`, and the `next` index.

    An entry is its question, its answer and its text for the column `entry`. After `seconds` what is there is returned.
    """
    entries, until = list[tuple[str, str, str]](), time.monotonic() + seconds
    spelt = json.dumps(settings)
    dataset = _dataset(task, spelt, seed, size)
    index = start
    while index < size and len(entries) < most and (index == start or time.monotonic() < until):
        random.seed(f"{seed}/{index}")  # some data sets draw from the global generator
        entry = dataset[index]
        question, answer = str(entry["question"]), entry["answer"]
        if split_of(task, core_of(question)) == split:
            column = json.dumps({"task": task, "settings": spelt, "entry": packed(entry)}, ensure_ascii=False)
            entries.append((question, "" if answer is None else str(answer), column))
        index += 1
    return {"entries": entries, "next": index}


def score(module: ModuleType, entries: Sequence[str], completions: Sequence[str], part: str) -> list[float]:
    """The score of each completion in [0, 1], as its data set scores the part of it that is the answer."""
    read = [json.loads(entry) for entry in entries]
    for one in read:
        _dataset(one["task"], one["settings"], 0, 1)
    values = list[float]()
    while len(values) < len(read):
        values += _judged(read[len(values) :], completions[len(values) :], part)
    return values


def _judged(entries: Sequence[Mapping[str, Any]], completions: Sequence[str], part: str) -> list[float]:
    """Scores from a process of their own, up to and including the first answer that ends it."""
    read_end, write_end = os.pipe()
    worker = os.fork()
    if worker == 0:  # pragma: no cover - another process
        try:
            os.close(read_end)
            _judge(entries, completions, part, write_end)
        finally:
            os._exit(0)
    os.close(write_end)
    values = list[float]()
    try:
        while len(values) < len(entries):
            ready = select.select([read_end], [], [], WALL_SECONDS)[0]
            value = os.read(read_end, 8) if ready else b""
            values.append(struct.unpack("d", value)[0] if len(value) == 8 else 0.0)
            if len(value) < 8:
                break
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        os.close(read_end)
    return values


def _judge(
    entries: Sequence[Mapping[str, Any]], completions: Sequence[str], part: str, answers: int
) -> None:  # pragma: no cover - another process
    """Write one number per answer; the process is ended by an answer that uses up its time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for entry, completion in zip(entries, completions, strict=True):
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        value = scored(entry, completion, part)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(answers, struct.pack("d", value))


def scored(entry: Mapping[str, Any], completion: str, part: str) -> float:
    """The score of one completion; an answer that the data set cannot read scores 0."""
    dataset, row = _dataset(entry["task"], entry["settings"], 0, 1), unpacked(entry["entry"])
    if entry["task"] in LITERALS:
        vars(sys.modules[type(dataset).__module__])["eval"] = ast.literal_eval
    answer = answer_of(completion, part, str(row["answer"] or ""))
    try:
        value = float(dataset.score_answer(answer=answer, entry=row))
    except Exception:  # noqa: BLE001 - the score functions raise all kinds of errors on a text that is no answer
        return 0.0
    return 0.0 if math.isnan(value) else min(1.0, max(0.0, value))


def answer_of(completion: str, part: str, reference: str) -> str:
    """The part of a completion that is its answer, by `GymSuite.answer`.

    `auto` takes what follows the last `####`, else the last box, else the last `<answer>`, else the last lines, as many
    as the reference has. A regular expression takes the last match's first group, or whole match.
    """
    text = completion.strip()
    if part not in PARTS:
        last = next(iter(list(re.finditer(part, text))[-1:]), None)
        return ((last[1] if last.re.groups else last[0]) or "").strip() if last else ""
    return PARTS[part](text, reference)


def _auto(text: str, reference: str) -> str:
    if "####" in text:
        return text.rpartition("####")[2].strip()
    if (box := _boxed(text)) is not None:
        return box
    if "<answer>" in text:
        return text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
    return "\n".join(text.split("\n")[-1 - reference.strip().count("\n") :]).strip()


def _boxed(text: str) -> str | None:
    r"""What the last `\boxed{}` holds, braces inside included; None without a box."""
    _, box, rest = text.rpartition("\\boxed{")
    depth = 1
    for at, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:at].strip()
    return rest.strip() if box else None


PARTS: Mapping[str, Callable[[str, str], str]] = {
    "auto": _auto,
    "whole": lambda text, _: text,
    "boxed": lambda text, _: _boxed(text) or "",
    "last_line": lambda text, _: text.rpartition("\n")[2].strip(),
}
"""The parts of an output that have a name."""


@lru_cache(maxsize=64)
def _dataset(task: str, settings: str, seed: int, size: int) -> Any:
    import reasoning_gym  # noqa: PLC0415 - 2 s

    options = json.loads(settings)
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return reasoning_gym.create_dataset(task, seed=seed, size=size, **lists)


def packed(value: Any) -> Any:
    """A value as JSON that `unpacked` makes equal again: tuples, sets, and dictionaries with any keys are marked.

    Raises `TypeError` for a value of another kind.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [packed(part) for part in value]
    if isinstance(value, (tuple, set, frozenset)):
        parts = value if isinstance(value, tuple) else sorted(value, key=repr)
        return {KIND: type(value).__name__, VALUE: [packed(part) for part in parts]}
    if isinstance(value, dict):
        if KIND not in value and all(isinstance(key, str) for key in value):
            return {key: packed(part) for key, part in value.items()}
        return {KIND: "dict", VALUE: [[packed(key), packed(part)] for key, part in value.items()]}
    raise TypeError(f"a value of the kind {type(value).__name__} has no JSON form")


def unpacked(value: Any) -> Any:
    """The value that `packed` made JSON of."""
    if isinstance(value, list):
        return [unpacked(part) for part in value]
    if not isinstance(value, dict):
        return value
    if KIND not in value:
        return {key: unpacked(part) for key, part in value.items()}
    kind: Literal["tuple", "set", "frozenset", "dict"] = value[KIND]
    return {"tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}[kind](unpacked(value[VALUE]))
