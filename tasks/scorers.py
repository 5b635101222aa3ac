r"""Scorers: how well a completion answers a prompt, given the reference answer of the item.

A scorer is a plain function on lists, as a reward function of TRL is: `scorer(prompts, completions, *, answer,
**columns)` returns one score in [0, 1] per completion, or None where it does not apply, such as for an empty reference.
`SCORERS` maps a name to a factory, which takes the options of a campaign file and returns the scorer. A scorer accepts
any text, in bounded time: patterns of a user and math-verify run in a child process with a limit of processor time.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any, Protocol

from schemas.plugins import Registry
from tasks.puzzles.scorer import correct

FIELD = "suites.score"
CPU_SECONDS = {"find": 1.0, "math": 5.0}
"""Processor time that one task of the child process may use, in seconds; it has no result past that."""
MEMORY = 4 << 30
"""Address space of the child process, in bytes."""
LONGEST_NUMBER = 400
LONGEST_FORMULA = 1000
LONGEST_SENTENCE = 1000
"""Longest number, mathematical answer, and sentence after "the answer is" that are read, in characters."""

Scores = list[float | None]


class ScoreInvalid(Exception):
    """A scorer returned something else than one number in [0, 1] or None per completion."""


class Scorer(Protocol):
    """Scores completions; every column holds one value per completion."""

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any
    ) -> Scores:
        """The scores, in the order of the completions."""


# --- Results --------------------------------------------------------------------------------------


def checked(name: str, values: Any, n: int) -> Scores:
    """The values that scorer `name` returned for `n` completions, as floats. Raises `ScoreInvalid` naming the fault."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence):
        raise ScoreInvalid(f"{name} returned {type(values).__name__}; return a list of {n} numbers or None")
    if len(values) != n:
        raise ScoreInvalid(f"{name} returned {len(values)} scores for {n} completions; return one for each")
    return [_checked_one(name, index, value) for index, value in enumerate(values)]


def _checked_one(name: str, index: int, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real):
        raise ScoreInvalid(f"{name}: score {index} is {value!r:.80}; return a number in [0, 1] or None")
    number = float(value)
    if math.isnan(number) or not 0.0 <= number <= 1.0:
        raise ScoreInvalid(f"{name}: score {index} is {number}; return a number in [0, 1] or None")
    return number


def combine(parts: Sequence[tuple[float, Scores]]) -> Scores:
    """The mean score of each completion over the scorers that apply to it, by weight; None if none applies."""
    scores: Scores = []
    for row in zip(*(values for _, values in parts), strict=True):
        weighted = [(weight, value) for (weight, _), value in zip(parts, row, strict=True) if value is not None]
        total = sum(weight for weight, _ in weighted)
        scores.append(sum(weight * value for weight, value in weighted) / total if weighted else None)
    return scores


# --- Options --------------------------------------------------------------------------------------

Check = Callable[[Any], Any]


def _options(scorer: str, given: Mapping[str, Any], **known: tuple[Any, Check]) -> dict[str, Any]:
    """The options of a scorer, checked; `known` has default and check of each. Raises ValueError naming the remedy."""
    for name in given:
        if name not in known:
            remedy = f"use one of {', '.join(known)}" if known else "remove it, the scorer has no options"
            raise ValueError(f"{FIELD}.{scorer}: option {name!r} is not known; {remedy}")
    values = {}
    for name, (default, check) in known.items():
        try:
            values[name] = check(given.get(name, default))
        except ValueError as error:
            value = repr(given[name]) if name in given else "missing"
            raise ValueError(f"{FIELD}.{scorer}.{name}: {value}; {error}") from None
    return values


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("use true or false")  # noqa: TRY004  # errors of a campaign file are ValueErrors
    return value


def _amount(value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError("use a number of at least 0")
    return Fraction(repr(value))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("use a whole number of at least 1")
    return value


def _one_of(*names: str) -> Check:
    def check(value: Any) -> Any:
        if value not in names:
            raise ValueError(f"use one of {', '.join(names)}")
        return value

    return check


def _pattern(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("write a regular expression of Python's re")
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"correct the regular expression: {error}") from None
    return value


# --- Child process --------------------------------------------------------------------------------


class _Child:
    """A child process that computes what may not end. The operating system ends it when its processor time is used up.

    Neither a signal handler nor an exception stops `9**9**9` or a backtracking `re`, and signals need the main thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, task: str, *texts: str) -> Any:
        """The result of a task in `TASKS`, or None if it failed or used up its time."""
        request = json.dumps([task, CPU_SECONDS[task], texts]).encode() + b"\n"
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(request)
                process.stdin.flush()
                reply = process.stdout.readline()
            except BrokenPipeError:
                reply = b""
            if not reply.endswith(b"\n"):
                self._close()
                return None
            return json.loads(reply)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        path = os.pathsep.join(part for part in sys.path if part)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from tasks.scorers import _serve; _serve()"],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._owner = os.getpid()
        atexit.register(self._close)
        return self._process

    def _close(self) -> None:
        atexit.unregister(self._close)
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()


_CHILD = _Child()


def _serve() -> None:  # pragma: no cover  # runs in the child process
    """Answer the tasks on standard input until it closes."""
    import logging  # noqa: PLC0415
    import resource  # noqa: PLC0415

    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        task, seconds, texts = json.loads(line)
        if task == "math":
            importlib.import_module("math_verify")  # not charged to the task
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            result = TASKS[task](*texts)
        except Exception:  # noqa: BLE001  # any failure on a model's text means that there is no result
            result = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(json.dumps(result) + "\n")
        replies.flush()


def _find(pattern: str, text: str) -> str | None:
    """First group, else the whole, of the last match of a pattern."""
    match = None
    for match in re.finditer(pattern, text):  # noqa: B007  # the last one is used below
        pass
    if match is None:
        return None
    group = match.group(1) if match.re.groups else None
    return match.group() if group is None else str(group)


def _same_formula(reference: str, formula: str) -> bool:
    """Whether two formulas are equal by math-verify."""
    library = importlib.import_module("math_verify")
    importlib.import_module("sympy.core.random").seed(0)
    stored, given = (library.parse(f"${text}$", parsing_timeout=None) for text in (reference, formula))
    return bool(stored and given and library.verify(stored, given, timeout_seconds=None))


TASKS: Mapping[str, Callable[..., Any]] = {"find": _find, "math": _same_formula}


# --- Answer extraction ----------------------------------------------------------------------------

HASH = "####"
BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
ANNOUNCED = re.compile(
    r"\b(?:answers?|(?:correct|right|best)[ ](?:option|choice))\b[ \t*_]{0,4}"
    r"(?:(?:is|are|was|(?:would|should|must)[ ]be)\b|[:=\uff1a])[ \t*_]{0,4}:?",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?:(?<=\w\w\w\w)|(?<=[0-9)\]}*$]))[.!?](?=\s+[A-Z])")
LAST_ANNOUNCED = 8
"""How many announcements are tried, latest first: "I hope that this answer is helpful" may follow the answer."""


@dataclass(frozen=True)
class _Part:
    """A part of a completion that may be its answer."""

    text: str
    kind: str
    """`boxed`, `announced`, `hash`, `line`, `text` (no marker: all of it) or `given` (cut out as the user defined)."""


def _reply(prompt: str, completion: str) -> str:
    """A completion without repetitions of the prompt; empty if it is no more than the beginning of the prompt.

    A beginning of less than half of the prompt may be an answer: "Paris" to "Paris or Rome: which is in Italy?".
    A prompt of one word is removed as a whole word only: 42 does not repeat the prompt 4.
    """
    prompt, completion = prompt.strip(), completion.strip()
    if not prompt:
        return completion
    if prompt.startswith(completion) and 2 * len(completion) + 1 >= len(prompt):
        return ""
    if len(prompt.split()) > 1:
        return completion.replace(prompt, "").strip()
    left, right = (r"(?<!\w)" if _is_word(prompt[0]) else ""), (r"(?!\w)" if _is_word(prompt[-1]) else "")
    return re.sub(left + re.escape(prompt) + right, "", completion).strip()


def _at_edges(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` starts and ends at the edge of a word or sign."""
    left = start == 0 or not (_is_word(text[start]) and _is_word(text[start - 1]))
    return left and (end == len(text) or not (_is_word(text[end - 1]) and _is_word(text[end])))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _after_hash(text: str) -> str:
    return text.rpartition(HASH)[2].strip() if HASH in text else ""


def _last_box(text: str) -> str:
    """Content of the last box that is not empty; one without its closing brace ends with its line."""
    boxes = [match.end() for match in BOX.finditer(text)]
    ends: dict[int, int] = {}
    opened: list[int] = []
    for match in BRACE.finditer(text) if boxes else ():
        if match.group() == "{":
            opened.append(match.end())
        elif match.group() == "}" and opened:
            ends[opened.pop()] = match.start()
    for start in reversed(boxes):
        end = ends.get(start, text.find("\n", start))
        if content := text[start : end if end >= 0 else None].strip():
            return content
    return ""


def _announced(text: str) -> list[_Part]:
    """Sentences after "the answer is", "Answer:" and the like, latest first."""
    parts = []
    for match in list(ANNOUNCED.finditer(text))[: -LAST_ANNOUNCED - 1 : -1]:
        line = _first_line(text[match.end() : match.end() + LONGEST_SENTENCE])
        end = SENTENCE_END.search(line)
        parts.append(_Part(line[: end.start()] if end else line, "announced"))
    return [part for part in parts if part.text]


def _auto(text: str) -> list[_Part]:
    scope = _after_hash(text)
    if box := _last_box(scope or text):
        return [_Part(box, "boxed")]
    end = [_Part(_first_line(scope), "hash")] if scope else [_Part(text, "text")]
    return [*_announced(scope or text), *end]


def _between_tags(name: str) -> Callable[[str], str]:
    def extract(text: str) -> str:
        _, start, rest = text.rpartition(f"<{name}>")
        return rest.partition(f"</{name}>")[0].strip() if start else ""

    return extract


class _Answer:
    """Option `answer`: which part of a completion is its answer."""

    SIMPLE: Mapping[str, tuple[str, Callable[[str], str]]] = {
        "whole": ("given", str.strip),
        "last_line": ("line", _last_line),
        "hash": ("hash", lambda text: _first_line(_after_hash(text))),
        "boxed": ("boxed", _last_box),
    }

    def __init__(self, option: Any) -> None:
        names = ", ".join(("auto", *self.SIMPLE))
        option = option if isinstance(option, str) else ""
        self._mode, colon, detail = option.partition(":")
        self._kind, self._extract = self.SIMPLE.get(option, ("given", str.strip))
        if self._mode == "tag" and re.fullmatch(r"[\w-]+", detail):
            self._extract = _between_tags(detail)
        elif self._mode == "regex" and colon:
            pattern = _pattern(detail)
            self._extract = lambda text: (_CHILD.ask("find", pattern, text) or "").strip()
        elif option != "auto" and option not in self.SIMPLE:
            raise ValueError(f"use one of {names}, tag:NAME, regex:PATTERN")

    def parts(self, text: str) -> list[_Part]:
        """Candidates for the answer, best first; empty if there is none."""
        if self._mode == "auto":
            return _auto(text)
        part = self._extract(text)
        return [_Part(part, self._kind)] if part else []

    def stored(self, reference: str) -> str:
        """The reference answer, cut out of worked text where a data set stores that (`#### 48`, a box)."""
        if self._mode not in ("auto", "hash", "boxed"):
            return reference.strip()
        return _first_line(_after_hash(reference)) or _last_box(reference) or reference.strip()


Judge = Callable[[str, str], bool | None]


def _scorer(judge: Judge) -> Scorer:
    """A scorer that asks `judge(completion without the prompt, reference)` about each completion.

    It does not apply to an empty reference, and an empty completion or a repeated prompt scores 0.
    """

    def score(prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any) -> Scores:
        scores: Scores = []
        for prompt, completion, reference in zip(prompts, completions, answer, strict=True):
            verdict = judge(_reply(prompt, completion), reference) if reference.strip() else None
            scores.append(None if verdict is None else float(verdict))
        return scores

    return score


# --- Text -----------------------------------------------------------------------------------------

DECORATION = "*`\"'$ \t\u201c\u201d"


def _plain(text: str) -> str:
    """A sentence's answer without Markdown, quotes, math delimiters and final full stop."""
    text = text.strip(DECORATION).removesuffix(".").strip(DECORATION)
    return text.removeprefix("\\(").removesuffix("\\)").strip(DECORATION)


def _normal(text: str, *, ignore_case: bool, ignore_punctuation: bool) -> str:
    """Text in form NFC and lower case; NFKC would equate 2³ and 23, and casefold ß and ss.

    Signs and separators before a digit are no punctuation.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if ignore_punctuation:
        after = f"{text[1:]} "
        kept = (
            character
            for character, following in zip(text, after, strict=False)
            if not unicodedata.category(character).startswith("P") or (character in "-.,/:" and following.isdigit())
        )
        text = " ".join("".join(kept).split())
    return unicodedata.normalize("NFC", text.lower()) if ignore_case else text


def exact(**options: Any) -> Scorer:
    """Equal text. Options: `ignore_case` (default true), `ignore_punctuation` (default false), `answer`."""
    values = _options(
        "exact", options, ignore_case=(True, _flag), ignore_punctuation=(False, _flag), answer=("auto", _Answer)
    )
    answer: _Answer = values.pop("answer")

    def judge(text: str, reference: str) -> bool:
        first = next(iter(answer.parts(text)), _Part("", "given"))
        part = _last_line(first.text) if first.kind == "text" else first.text
        given = [part, _plain(part) if first.kind == "announced" else part]
        stored = _normal(answer.stored(reference), **values)
        whole = options.get("answer", "auto") == "auto" and _normal(text, **values) == _normal(reference, **values)
        return whole or (bool(stored) and stored in [_normal(part, **values) for part in given])

    return _scorer(judge)


def contains(**options: Any) -> Scorer:
    """The reference occurs in the completion as whole words or a whole number. Option: `ignore_case` (default true)."""
    values = _options("contains", options, ignore_case=(True, _flag))

    def judge(text: str, reference: str) -> bool:
        text = _normal(text, ignore_punctuation=False, **values)
        stored = _normal(reference, ignore_punctuation=False, **values)
        start = text.find(stored)
        while start >= 0:
            end = start + len(stored)
            if _at_edges(text, start, end) and _whole_number(text, start, end):
                return True
            start = text.find(stored, start + 1)
        return False

    return _scorer(judge)


def _whole_number(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` is not a part of a longer number: 5 is none of -5, 5.3 and 1,005."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if text[start].isdigit() and (re.search(r"\d[.,]$", before) or re.search(r"(?:^|\W)[-\u2212]$", before)):
        return False
    return not (text[end - 1].isdigit() and re.match(r"[.,]\d", after))


def regex(**options: Any) -> Scorer:
    """The last match of `pattern`, its first group if it has one, is compared as `exact` compares.

    With `match: true` a completion scores 1 if the pattern matches anywhere, and the reference is not used.
    Options: `pattern`, `match` (default false), `ignore_case` (default true), `ignore_punctuation` (default false).
    """
    flags = {"ignore_case": (True, _flag), "ignore_punctuation": (False, _flag)}
    values = _options("regex", options, pattern=(None, _pattern), match=(False, _flag), **flags)
    pattern, match = values.pop("pattern"), values.pop("match")

    def judge(text: str, reference: str) -> bool:
        part = _CHILD.ask("find", pattern, text)
        return bool(part) and _normal(part, **values) == _normal(reference, **values)

    def form(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        return [float(_CHILD.ask("find", pattern, completion) is not None) for completion in completions]

    return form if match else _scorer(judge)


def length(**options: Any) -> Scorer:
    """1 for at most `most` words, falling linearly to 0 at twice as many. The reference is not used."""
    most: int = _options("length", options, most=(None, _count))["most"]

    def score(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        return [min(1.0, max(0.0, 2 - len(completion.split()) / most)) for completion in completions]

    return score


def boxed(**options: Any) -> Scorer:
    """The Nemotron Reasoning Challenge's scorer (`tasks.puzzles.scorer`). No options."""
    _options("boxed", options)

    def score(prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any) -> Scores:
        rows = zip(prompts, completions, answer, strict=True)
        return [float(correct(*row)) if row[2].strip() else None for row in rows]

    return score


# --- Numbers --------------------------------------------------------------------------------------

MINUS = "-+\u2212"
SPACE = " \u00a0\u2009\u202f"
DIGITS = (
    rf"(?:[1-9][0-9]{{0,2}}(?:(?:,[0-9]{{3}}){{1,40}}+|(?:[{SPACE}][0-9]{{3}}){{1,40}}+)(?![0-9])|[0-9]++)(?:\.[0-9]++)?+"
    r"|(?<!\.)\.[0-9]++"
)
NUMBER = re.compile(
    r"(?<!\w)(?<!\d[.:])(?<!\^)(?<!\^[-{])(?<!\^\{-)(?<!/)"
    rf"(?P<sign>(?<![\w)\]}}%])[{MINUS}])?(?P<currency>[$€£¥₹]\s?)?(?P<sign2>[{MINUS}])?"
    rf"(?:(?P<whole>[0-9]++)[ ]{{1,2}}(?P<part>[0-9]++)/(?P<of>[0-9]++)"
    rf"|(?P<digits>{DIGITS})(?:\s?/\s?(?P<below>[{MINUS}]?(?:{DIGITS})))?)"
    rf"(?:[eE](?P<e>[{MINUS}]?[0-9]{{1,4}})(?![0-9A-Za-z_])"
    rf"|\s?(?:\\times|\\cdot|[\u00d7\u00b7*x])\s?10\^(?:\{{(?P<p1>[{MINUS}]?[0-9]{{1,4}})\}}|(?P<p2>[{MINUS}]?[0-9]{{1,4}})))?"
    r"(?![_\d\u2070\u00b9\u00b2\u00b3\u2074-\u2079])(?!\^(?!\{?\\circ))(?![.:]\d)(?!\s?/\s?[0-9])(?!(?:[xyznie]|pi)(?![A-Za-z]))"
    r"(?!\s?\\(?:pi|sqrt|d?frac|times|cdot)(?![a-z]))(?P<percent>\s?(?:%|per\s?cent\b))?"
)
FRACTION = re.compile(r"(\d?)\\[dtc]?frac\s?(?:\{([^{}]{1,50})\}|([0-9]))\s?(?:\{([^{}]{1,50})\}|([0-9]))")
UNIT = re.compile(
    r"(?:\s?(?:\\(?:text|mathrm|mbox|textbf)\s?\{[^{}0-9]*\}|\\(?:circ|degree)|\^\{?\s?(?:-?[0-9]|\\circ)\}?"
    r"|[^\W\d_]|[\u00b2\u00b3\u00b0/.\u00b7'$€£¥₹-]))*"
)
ASCII_NUMBER = str.maketrans({"\u2212": "-", ",": None, **dict.fromkeys(SPACE)})
VARIABLES = frozenset({"x", "y", "z", "n", "i", "e", "pi"})
WRAPPER = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s?\{([^{}]*)\}")
LATEX = {"{,}": ",", "\\,": "\u2009", "\\!": "", "\\;": " ", "\\ ": " ", "\\$": "$", "\\%": "%", "~": " "}


@dataclass(frozen=True)
class _Quantity:
    """A number with what is written around it."""

    value: Fraction
    percent: bool
    currency: str
    rest: str
    """The text after the number; it starts with the unit, if there is one."""


def _without_latex(text: str) -> str:
    for command, plain in LATEX.items():
        text = text.replace(command, plain)

    def fraction(match: re.Match[str]) -> str:
        digit, *terms = match.groups()
        above, below = (term.strip() for term in terms if term is not None)
        return f"{digit}{' ' if digit else ''}{above}/{below}"

    return FRACTION.sub(fraction, text)


def _quantity(match: re.Match[str]) -> _Quantity | None:
    """The quantity that a match of `NUMBER` states; None for a zero denominator or a number that is too long."""
    if len(match.group()) > LONGEST_NUMBER:
        return None
    term = {name: (text or "").translate(ASCII_NUMBER) for name, text in match.groupdict().items()}
    below = Fraction(term["of"] or term["below"] or 1)
    if not below:
        return None
    value = int(term["whole"]) + int(term["part"]) / below if term["whole"] else Fraction(term["digits"]) / below
    value *= Fraction(10) ** int(term["e"] or term["p1"] or term["p2"] or 0)
    if (term["sign"] == "-") != (term["sign2"] == "-"):
        value = -value
    rest = WRAPPER.sub(r"\1", match.string[match.end() : match.end() + 60]).strip(f"$ {SPACE}")
    percent = bool(term["percent"])
    return _Quantity(value / 100 if percent else value, percent, term["currency"], rest)


def _number(text: str, *, last: bool) -> _Quantity | None:
    """The first or last number of a text."""
    matches = list(NUMBER.finditer(_without_latex(text)))
    return next(filter(None, map(_quantity, reversed(matches) if last else matches)), None)


def _only_number(text: str) -> _Quantity | None:
    """The quantity if the text, or its right side of `=`, is one number with nothing but a unit."""
    text = _without_latex(text.strip().removeprefix("\\(").removesuffix("\\)")).rpartition("=")[2]
    text = WRAPPER.sub(r"\1", text) if WRAPPER.fullmatch(text.strip()) else text
    text = text.strip(" *")
    text = text.strip("$") if text.endswith("$") else text
    match = NUMBER.match(text)
    unit = text[match.end() :].strip() if match else ""
    if match is None or len(unit) > 60 or not UNIT.fullmatch(unit) or unit in VARIABLES:
        return None
    return _quantity(match)


def _stated(parts: list[_Part]) -> _Quantity | None:
    """The number that the best part with one states.

    The first one after "the answer is" or `####`, of its last equation; the last one of a text or line; else the part
    has to be a number with nothing but a unit. A sentence "the answer is" that states no number, such as "the answer is
    below", is skipped.
    """
    for part in parts:
        if part.kind in ("announced", "hash"):
            quantity = _number(part.text.rpartition("=")[2], last=False)
        elif part.kind in ("text", "line"):
            quantity = _number(part.text, last=True)
        else:
            quantity = _only_number(part.text)
        if quantity is not None or (part.kind == "announced" and re.search(r"[\d\\]", part.text)):
            return quantity
    return None


def _equal(stored: _Quantity, given: _Quantity, *, tolerance: Fraction, absolute: Fraction) -> bool:
    """Equal within the tolerances; p % is p/100, and also p if the other quantity has no percent sign."""
    pairs = [(stored.value, given.value)]
    if stored.percent != given.percent:
        pairs.append((stored.value * (100 if stored.percent else 1), given.value * (100 if given.percent else 1)))
    return any(abs(left - right) <= max(tolerance * abs(left), absolute) for left, right in pairs)


def _same_unit(stored: _Quantity, given: _Quantity) -> bool:
    """Whether a quantity has the unit, currency and percent sign of the stored one, as far as that has them."""
    unit = stored.rest.removesuffix(".").rstrip()
    if (stored.currency and stored.currency != given.currency) or (stored.percent and not given.percent):
        return False
    return not unit or (given.rest.startswith(unit) and _at_edges(given.rest, 0, len(unit)))


def numeric(**options: Any) -> Scorer:
    """Equal numbers, compared as fractions without rounding. It does not apply to a reference that is not a number.

    Options: `tolerance` (relative to the reference, default 0), `absolute` (default 0; the larger tolerance counts),
    `units` (`ignore`, or `require` the reference's unit, currency and percent sign as written), `answer`.
    """
    values = _options(
        "numeric",
        options,
        tolerance=(0, _amount),
        absolute=(0, _amount),
        units=("ignore", _one_of("ignore", "require")),
        answer=("auto", _Answer),
    )
    answer: _Answer = values.pop("answer")
    require = values.pop("units") == "require"

    def judge(text: str, reference: str) -> bool | None:
        stored = _only_number(answer.stored(reference))
        if stored is None:
            return None
        given = _stated(answer.parts(text))
        return given is not None and _equal(stored, given, **values) and (not require or _same_unit(stored, given))

    return _scorer(judge)


# --- Multiple choice ------------------------------------------------------------------------------

LETTERS = "ABCDEFGHIJ"
BARE = re.compile(r"(?:A:)?[\s*(\[{$]*(?:\\(?:text|mathrm|mathbf|textbf)\{)?[(\[]?([A-Ja-j])[\s*)\]}.:,$]*")
LABELLED = re.compile(r"[*]{0,2}(?:[(\[]([A-Ja-j])[)\]]|([A-J])[).]|([B-HJ]):)[*]{0,2}(?=\s|$)")
SPOKEN = re.compile(
    r"[*]{0,2}(?:\\(?:text|mathrm|mathbf|textbf)\{)?(?:(?:option|choice|letter)\s)?(?:[(\[]([A-Ja-j])[)\]]|([A-J])[*]{0,2}(?=[).:,;]|$|\s+(?:because|since|as|"
    r"due|which|is|was|and)\b)|([B-HJ])(?![\w+#]))"
)
MENTIONED = re.compile(r"[(\[]([A-J])[)\]]|\b(?:[Oo]ption|[Cc]hoice)\s([A-J])(?!\w)")


def _letter(match: re.Match[str] | None) -> str:
    return next((group.upper() for group in match.groups() if group), "") if match else ""


def _choices(column: Any) -> tuple[list[str], list[str]]:
    """Labels and texts of the options: a list, JSON of one, or `{label: [...], text: [...]}` as ARC has it."""
    if isinstance(column, str):
        try:
            column = json.loads(column)
        except (ValueError, RecursionError):
            return [], []
    if isinstance(column, Mapping):
        texts = [str(text) for text in column.get("text", ())]
        return [str(label) for label in column.get("label", LETTERS[: len(texts)])], texts
    texts = [str(text) for text in column] if isinstance(column, Sequence) else []
    return list(LETTERS[: len(texts)]), texts


def _of_text(text: str, labels: list[str], texts: list[str]) -> str:
    """The letter of the option whose text or label is `text`, or an empty string."""
    wanted = _normal(_plain(text), ignore_case=True, ignore_punctuation=False)
    options = [_normal(_plain(option), ignore_case=True, ignore_punctuation=False) for option in texts]
    for names in (labels, options):
        if wanted and wanted in names:
            return LETTERS[names.index(wanted)] if names.index(wanted) < len(LETTERS) else ""
    return ""


def _stored_letter(reference: str, labels: list[str], texts: list[str]) -> str:
    letter = _letter(BARE.fullmatch(reference)) or _of_text(reference, labels, texts)
    return letter or _letter(LABELLED.match(reference.strip()))


def _chosen(part: _Part, labels: list[str], texts: list[str]) -> str:
    """The letter that a part of a completion chooses, or an empty string.

    An "A" counts only as a label, not as an article. Where several letters are mentioned without a marker, none counts.
    """
    text = part.text.strip()
    if letter := _letter(BARE.fullmatch(text[:LONGEST_SENTENCE])) or _of_text(text, labels, texts):
        return letter
    if part.kind != "text":
        return _letter(SPOKEN.match(text))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in (lines[0], lines[-1]):
        if letter := _letter(BARE.fullmatch(line[:LONGEST_SENTENCE])) or _of_text(line, labels, texts):
            return letter
    labelled = {_letter(LABELLED.match(line)) for line in lines} - {""}
    letters = labelled or {_letter(match) for match in MENTIONED.finditer(text)}
    return letters.pop() if len(letters) == 1 else ""


def choice(**options: Any) -> Scorer:
    """The same letter A to J of a multiple-choice question; option `answer`.

    The column `choices` (a list of texts, or JSON of one) makes the text of an option as good as its letter. The scorer
    does not apply to a reference that is neither a letter nor an option's text.
    """
    answer: _Answer = _options("choice", options, answer=("auto", _Answer))["answer"]

    def judge(text: str, reference: str, column: Any) -> bool | None:
        labels, texts = _choices(column)
        stored = _stored_letter(answer.stored(reference), labels, texts)
        chosen = (_chosen(part, labels, texts) for part in answer.parts(text) if part.text.strip())
        return next(filter(None, chosen), "") == stored if stored else None

    def score(prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any) -> Scores:
        choices = columns.get("choices") or [None] * len(answer)
        scores: Scores = []
        for prompt, completion, reference, column in zip(prompts, completions, answer, choices, strict=True):
            judged = _scorer(lambda text, stored, column=column: judge(text, stored, column))  # type: ignore[misc]
            scores += judged([prompt], [completion], answer=[reference])
        return scores

    return score


# --- Mathematics ----------------------------------------------------------------------------------

DELIMITED = re.compile(r"\$([^$\n]+)\$|\\\(([^\n]{1,300}?)\\\)")
WORDS = re.compile(r"(?=.*[^\W\d_]{3})[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*")


def _formula(text: str) -> str:
    r"""A formula without delimiters and without `\text{}`."""
    text = WRAPPER.sub(r"\1", _plain(text.strip().removeprefix("\\[").removesuffix("\\]")))
    return text.replace("\\$", "").replace("$", "").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").strip()


def mathematics(**options: Any) -> Scorer:
    """Equal in mathematics, as math-verify judges: formulas, sets, intervals and equations; option `answer`.

    Equal numbers and equal texts need no judgement, and a reference in words is compared as text only. Decimals are
    equal to other numbers within 6 digits, as math-verify has it. Formulas above `LONGEST_FORMULA` characters, or that
    need more than the processor time, are wrong.
    """
    answer: _Answer = _options("math", options, answer=("auto", _Answer))["answer"]
    if importlib.util.find_spec("math_verify") is None:
        raise ValueError(f"{FIELD}: 'math' needs math-verify; install it with pip install 'aevolve[math]'")

    def judge(text: str, reference: str) -> bool:
        stored = answer.stored(reference)
        part = next(iter(answer.parts(text)), _Part("", "given"))
        given = _last_line(part.text) if part.kind == "text" else part.text
        if part.kind in ("text", "line", "announced", "hash"):
            given = next((a or b for a, b in reversed(DELIMITED.findall(given))), given)
        return _same_mathematics(_formula(stored), _formula(given))

    return _scorer(judge)


def _same_mathematics(stored: str, given: str) -> bool:
    if not stored or not given:
        return False
    if "".join(stored.split()).casefold() == "".join(given.split()).casefold():
        return True
    left, right = _only_number(stored), _only_number(given)
    if left and right and _equal(left, right, tolerance=Fraction(0), absolute=Fraction(0)):
        return True
    if max(len(stored), len(given)) > LONGEST_FORMULA or WORDS.fullmatch(stored):
        return False
    return bool(_CHILD.ask("math", stored, given))


SCORERS: Registry[Callable[..., Scorer]] = Registry(
    field=FIELD,
    group="aevolve.scorers",
    builtin={
        "exact": exact,
        "numeric": numeric,
        "choice": choice,
        "regex": regex,
        "boxed": boxed,
        "math": mathematics,
        "contains": contains,
        "length": length,
    },
)
"""The scorers of this project; `pip install 'aevolve[math]'` adds what `math` needs."""
