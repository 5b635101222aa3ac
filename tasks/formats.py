"""What a user's record may look like: a question with its answer, a conversation, or a preference pair.

Columns are named in the campaign file or detected by their names; the forms of Alpaca (`instruction`, `input`, `output`)
and ShareGPT (`conversations` of `from` and `value`) are recognised. Values are taken over exactly: `007`, `1.50` and
9007199254740993 stay as they are written.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from schemas.suites import ColumnNames
from tasks.item import Message

QUESTIONS = ("prompt", "question", "problem", "query", "instruction", "input")
ANSWERS = (
    "answer",
    "final_answer",
    "answerKey",
    "solution",
    "target",
    "label",
    "output",
    "response",
    "ground_truth",
    "expected",
)
TRACES = ("trace", "rationale", "reasoning", "steps", "explanation")
CONVERSATIONS = ("messages", "conversations", "conversation")
"""Names of columns by role, in the order in which they are tried."""

ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
"""Roles as ShareGPT and others name them."""

KNOWN_ROLES = ("system", "user", "assistant", "tool", "developer")

MAX_PATTERN_TEXT = 100_000
"""Characters of a column in which an answer is searched."""


class FormatUnknown(ValueError):
    """The columns of a file make no known form; the message names them and the remedy."""


class Unreadable(ValueError):
    """A record that makes no row or item; `reason` is the name under which it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Number(float):
    """A number of a JSON file with the text that spelt it: `0.10` and `1E400` are not changed."""

    text: str

    def __new__(cls, text: str) -> Number:
        """The number that a text spells."""
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclass(frozen=True)
class Fields:
    """The parts of a record. Absent parts are empty."""

    prompt: str = ""
    """The question; of a conversation, the text of the turns before the last one of the assistant."""
    answer: str = ""
    """The right answer."""
    trace: str = ""
    """Worked steps."""
    completion: str = ""
    """The text that is taught as it stands."""
    rejected: str = ""
    """The worse answer of a preference pair; the better one is the completion."""
    messages: tuple[Message, ...] = ()
    """The whole conversation."""
    domain: str = ""
    """The record's domain as a name; empty where no column holds one."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The other columns as JSON values."""

    @property
    def asked(self) -> tuple[Message, ...]:
        """The conversation before the assistant's last turn."""
        last = max((at for at, turn in enumerate(self.messages) if turn["role"] == "assistant"), default=None)
        return self.messages[:last] if last is not None else self.messages


def detect(columns: Collection[str], named: ColumnNames | None = None) -> ColumnNames:
    """The roles of a file's columns: those that are named, and the others by their names.

    Raises `FormatUnknown` where a named column is absent, or where no question is found.
    """
    named = named or ColumnNames()
    for role, name in named.named.items():
        if name not in columns:
            raise FormatUnknown(f"columns.{role}: there is no column {name!r}, only {_listing(columns)}; name one of them")
    if named.messages or named.prompt:
        return named
    free = [column for column in columns if column not in named.named.values()]
    conversation = _first(CONVERSATIONS, free)
    pair = {"chosen", "rejected"} <= set(free)
    prompt = _first(QUESTIONS, free)
    if conversation and not pair:
        return named.model_copy(update={"messages": conversation})
    if pair and not named.chosen:
        return named.model_copy(update={"prompt": prompt, "chosen": "chosen", "rejected": "rejected"})
    if prompt is None:
        raise FormatUnknown(
            f"columns: no question among {_listing(columns)}; name it, as `columns: {{prompt: NAME, answer: NAME}}`"
        )
    found: dict[str, str | None] = {"prompt": prompt}
    if "completion" in free and not named.completion:
        found["completion"] = "completion"
    if {"instruction", "output"} <= set(free) and not named.answer:  # Alpaca
        found |= {"prompt": "instruction", "completion": "output"}
    if not named.answer:
        found["answer"] = _first(ANSWERS, [column for column in free if column not in found.values()])
    if not named.trace:
        found["trace"] = _first(TRACES, [column for column in free if column not in found.values()])
    if not named.domain and "domain" in free:
        found["domain"] = "domain"
    return named.model_copy(update={role: name for role, name in found.items() if name})


def read(record: Mapping[str, Any], columns: ColumnNames) -> Fields:
    """The parts of a record by the roles of its columns. Raises `Unreadable`."""
    used = {name for name in columns.named.values() if name}
    values = {role: record.get(name) for role, name in columns.named.items()}
    rest = {name: plain(value) for name, value in record.items() if name not in used}
    domain = domain_name(text_of(values["domain"])) if values.get("domain") is not None else ""
    if columns.messages:
        turns = conversation(values["messages"])
        asked = Fields(messages=turns).asked
        last = turns[len(asked)]["content"] if len(asked) < len(turns) else ""
        answer = _answer(values, columns) or last
        return Fields("\n".join(turn["content"] for turn in asked), answer, "", last, "", turns, domain, rest)
    if columns.chosen:
        return _preference(values, domain, rest)
    prompt = text_of(values.get("prompt"))
    if columns.prompt == "instruction" and (more := text_of(record.get("input"))).strip():
        prompt = f"{prompt}\n\n{more}"
        rest.pop("input", None)
    if not prompt.strip():
        raise Unreadable("no_prompt")
    completion = text_of(values.get("completion"))
    if columns.answer_pattern and not (columns.completion or columns.trace):
        completion = text_of(values.get("answer"))  # the answer is cut out of the worked text, which is taught whole
    return Fields(
        prompt,
        _answer(values, columns) or ("" if columns.answer else completion.strip()),
        text_of(values.get("trace")),
        completion,
        domain=domain,
        columns=rest,
    )


def _preference(values: Mapping[str, Any], domain: str, rest: Mapping[str, Any]) -> Fields:
    """A pair whose answers are texts after a prompt, or conversations that begin alike."""
    chosen, rejected = values["chosen"], values["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        prompt = values.get("prompt")
        messages = conversation(prompt) if isinstance(prompt, (list, tuple)) else ()
        text = "\n".join(turn["content"] for turn in messages) if messages else text_of(prompt)
    else:
        better, worse = conversation(chosen), conversation(rejected)
        messages, text = better[:-1], "\n".join(turn["content"] for turn in better[:-1])
        if values.get("prompt") and not messages:
            text = text_of(values["prompt"])
        chosen, rejected = better[-1]["content"], worse[-1]["content"]
    if not text.strip():
        raise Unreadable("no_prompt")
    if not chosen.strip() or not rejected.strip():
        raise Unreadable("no_pair")
    if chosen == rejected:
        raise Unreadable("equal_pair")
    turns = (*messages, {"role": "assistant", "content": chosen}) if messages else ()
    return Fields(text, chosen, "", chosen, rejected, turns, domain, rest)


def _answer(values: Mapping[str, Any], columns: ColumnNames) -> str:
    value = values.get("answer")
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    text = text_of(value).strip()
    if not (columns.answer and columns.answer_pattern):
        return text
    matches = list(re.finditer(columns.answer_pattern, text[:MAX_PATTERN_TEXT]))
    if not matches:
        raise Unreadable("no_answer")
    last = matches[-1]
    return (last[1] if last.re.groups else last[0]).strip()


def conversation(value: Any) -> tuple[Message, ...]:
    """The turns of a conversation, also in ShareGPT's form or as JSON text. Raises `Unreadable`."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Unreadable("no_conversation") from error
    if not isinstance(value, (list, tuple)) or not value:
        raise Unreadable("no_conversation")
    turns = []
    for turn in value:
        role = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
        content = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else None
        role = ROLES.get(str(role), str(role))
        if role not in KNOWN_ROLES or not isinstance(content, str):
            raise Unreadable("no_conversation")
        turns.append({"role": role, "content": content})
    if not any(turn["role"] == "user" for turn in turns):
        raise Unreadable("no_prompt")
    return tuple(turns)


def text_of(value: Any) -> str:
    """A value as text, exactly: numbers as they are written, dates in ISO 8601. Raises `Unreadable` for a structure."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Number):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    raise Unreadable("not_text")


def plain(value: Any) -> Any:
    """A value of a further column as JSON: numbers and texts as they are, all else as near as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else text_of(value) or None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    try:
        return text_of(value)
    except Unreadable:
        return str(value)


def domain_name(text: str) -> str:
    """A text as the name of a domain: small letters, digits, `_`, `.` and `-`, at most 100. Raises `Unreadable`."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9_.-]+", "_", folded).strip("_.-")[:100]
    if not name:
        raise Unreadable("no_domain")
    return name


def core_of(prompt: str, messages: Sequence[Message] = ()) -> str:
    """What identifies a question: its characters in NFC, each run of white space one blank; letters keep their case."""
    if messages:
        return json.dumps([[turn["role"], _folded(turn["content"])] for turn in messages], ensure_ascii=False)
    return _folded(prompt)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _first(names: Iterable[str], columns: Collection[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _listing(columns: Iterable[str]) -> str:
    shown = [str(column)[:40] for column in columns][:20]
    return ", ".join(shown) or "none"
