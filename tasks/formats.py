"""What a user's record may look like: a question with its answer, a conversation, or a preference pair.

Columns are named in the campaign file or detected by their names. The forms of Alpaca (`instruction`, `input`,
`output`) and ShareGPT (`conversations` of `from` and `value`) are recognised, and prompts that are conversations.
Values are taken over exactly: `007`, `1.50` and 9007199254740993 stay as they are written.
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
from typing import Any, Self

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
REFERENCES = ("answer", "final_answer", "ground_truth", "expected")
CONVERSATIONS = ("messages", "conversations", "conversation")
"""Names of columns by role, in the order in which they are tried."""

ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
"""Roles as ShareGPT and others name them."""

KNOWN_ROLES = ("system", "user", "assistant", "tool", "developer")

MAX_PATTERN_TEXT = 100_000
"""Characters of a column, from its end, in which an answer is searched."""

DEEPEST = 50
"""Levels of lists and objects in a further column."""


class FormatUnknown(ValueError):
    """The columns of a file make no known form; the message names them and the remedy."""


class QuestionUnknown(FormatUnknown):
    """No column is known to hold the question; `columns` lists those there are."""

    def __init__(self, columns: str) -> None:
        super().__init__(f"columns: no question among {columns}; name it, as `columns: {{prompt: NAME, answer: NAME}}`")
        self.columns = columns


class Unreadable(ValueError):
    """A record that makes no row or item; `reason` is the name under which it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Number(float):
    """A number of a JSON file with the text that spelt it: `0.10` and `1E400` are not changed."""

    text: str

    def __new__(cls, text: str) -> Self:
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
    open: bool = False
    """Whether the conversation ends with the question, which is asked with all turns before it."""

    @property
    def asked(self) -> tuple[Message, ...]:
        """The conversation before the last turn of the assistant that follows a question; the whole of an open one."""
        if self.open:
            return self.messages
        user = next((at for at, turn in enumerate(self.messages) if turn["role"] == "user"), len(self.messages))
        last = max(
            (at for at, turn in enumerate(self.messages) if turn["role"] == "assistant" and at > user), default=None
        )
        return self.messages[:last]


def detect(columns: Collection[str], named: ColumnNames | None = None) -> ColumnNames:
    """The roles of a file's columns: those that are named, and the others by their names.

    Raises `FormatUnknown` where a named column is absent, or where no question is found.
    """
    named = named or ColumnNames()
    for role, name in named.named.items():
        if name not in columns:
            raise FormatUnknown(
                f"columns.{role}: there is no column {name!r}, only {_listing(columns)}; name one of them"
            )
    free = [column for column in columns if column not in named.named.values()]
    found = {**_main_roles(free, named), **named.named}
    if not any(role in found for role in ("prompt", "messages", "chosen")):
        raise QuestionUnknown(_listing(columns))
    if ("chosen" in found) != ("rejected" in found):
        raise FormatUnknown(
            f"columns: a preference pair needs both answers, and the columns are {_listing(columns)}; name chosen and "
            "rejected"
        )
    free = [column for column in free if column not in found.values()]
    if "chosen" not in found:
        answers = REFERENCES if "messages" in found else ANSWERS
        traces = () if "messages" in found else TRACES
        for role, names in (("answer", answers), ("trace", traces)):
            if role not in found and (first := _first(names, free)):
                found[role] = first
    if "domain" in free:
        found.setdefault("domain", "domain")
    return ColumnNames(**found, answer_pattern=named.answer_pattern)


def _main_roles(free: Collection[str], named: ColumnNames) -> dict[str, str]:
    """Question and taught text, as far as they are not named: a conversation, a pair, Alpaca, or a prompt."""
    roles = named.named
    pair = {"chosen": "chosen", "rejected": "rejected"}
    pairs = {role: name for role, name in pair.items() if role not in roles and name in free}
    prompt = _first(QUESTIONS, free)
    question = {"prompt": prompt} if prompt and "prompt" not in roles else {}
    if "messages" in roles:
        return {}
    if "chosen" in roles or "rejected" in roles or (len(pairs) == len(pair) and "answer" not in roles):
        return {**question, **pairs}
    if "prompt" not in roles and (conversation := _first(CONVERSATIONS, free)):
        return {"messages": conversation}
    if "prompt" not in roles and {"instruction", "output"} <= set(free) and "answer" not in roles:  # Alpaca
        return {"prompt": "instruction", "completion": "output"}
    return {**question, **({"completion": "completion"} if "completion" in free and "completion" not in roles else {})}


def read(record: Mapping[str, Any], columns: ColumnNames) -> Fields:
    """The parts of a record by the roles of its columns. Raises `Unreadable`."""
    named = columns.named
    values = {role: record.get(name) for role, name in named.items()}
    rest = {name: plain(value) for name, value in record.items() if name not in named.values()}
    domain = domain_name(text_of(values["domain"])) if values.get("domain") is not None else ""
    if columns.messages:
        return _conversation_of(conversation(values["messages"]), values, columns, domain, rest)
    if columns.chosen:
        return _preference(values, domain, rest)
    if isinstance(values.get("prompt"), (list, tuple)):
        turns = (*conversation(values["prompt"]), *_taught_turns(values.get("completion")))
        return _conversation_of(turns, values, columns, domain, rest)
    prompt = text_of(values.get("prompt"))
    if columns.prompt == "instruction" and "input" in rest and (more := text_of(record["input"])).strip():
        prompt = f"{prompt}\n\n{more}"
        del rest["input"]
    if not prompt.strip():
        raise Unreadable("no_prompt")
    completion = text_of(values.get("completion"))
    answer = _answer(values, columns, completion)
    if columns.answer_pattern and not (columns.completion or columns.trace):
        completion = text_of(_single(values.get("answer")))  # the answer is cut out of a worked text, which is taught
    return Fields(prompt, answer, text_of(values.get("trace")), completion, domain=domain, columns=rest)


def _conversation_of(
    turns: tuple[Message, ...],
    values: Mapping[str, Any],
    columns: ColumnNames,
    domain: str,
    rest: Mapping[str, Any],
) -> Fields:
    """A conversation, whose last answer is the reference where no column holds one."""
    ended = bool(columns.answer or columns.prompt) and turns[-1]["role"] != "assistant"
    asked = Fields(messages=turns, open=ended).asked
    prompt = "\n".join(turn["content"] for turn in asked)
    if not prompt.strip():
        raise Unreadable("no_prompt")
    last = turns[len(asked)]["content"] if len(asked) < len(turns) else ""
    return Fields(prompt, _answer(values, columns, last), "", last, "", turns, domain, rest, ended)


def _taught_turns(completion: Any) -> tuple[Message, ...]:
    """The assistant's turns after a prompt that is a conversation."""
    if isinstance(completion, (list, tuple)) and completion:
        return _turns(completion)
    text = text_of(completion)
    return ({"role": "assistant", "content": text},) if text else ()


def _preference(values: Mapping[str, Any], domain: str, rest: Mapping[str, Any]) -> Fields:
    """A pair whose answers are texts after a prompt, or conversations that begin alike. Raises `Unreadable`."""
    before, better = _asked_and_answer(values["chosen"])
    other, worse = _asked_and_answer(values["rejected"])
    prompt = values.get("prompt")
    messages = _turns(prompt) if isinstance(prompt, (list, tuple)) else ()
    if before or other:
        if before != other:
            raise Unreadable("unlike_pair")
        messages = before if not messages or before[: len(messages)] == messages else (*messages, *before)
    text = "\n".join(turn["content"] for turn in messages) if messages else text_of(prompt)
    if not text.strip():
        raise Unreadable("no_prompt")
    if not better.strip() or not worse.strip():
        raise Unreadable("no_pair")
    if better == worse:
        raise Unreadable("equal_pair")
    if not messages and isinstance(values["chosen"], (list, tuple)):
        messages = ({"role": "user", "content": text},)
    turns = (*messages, {"role": "assistant", "content": better}) if messages else ()
    return Fields(text, better, "", better, worse, turns, domain, rest)


def _asked_and_answer(value: Any) -> tuple[tuple[Message, ...], str]:
    """The turns before an answer of a pair, and the answer."""
    if not isinstance(value, (list, tuple)):
        return (), text_of(value)
    turns = _turns(value)
    if not turns or turns[-1]["role"] != "assistant":
        raise Unreadable("no_pair")
    return turns[:-1], turns[-1]["content"]


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _answer(values: Mapping[str, Any], columns: ColumnNames, taught: str) -> str:
    """The answer column, else the taught text, or what the pattern cuts out of it."""
    text = (text_of(_single(values.get("answer"))) if columns.answer else taught).strip()
    if not columns.answer_pattern:
        return text
    last = next(iter(list(re.finditer(columns.answer_pattern, text[-MAX_PATTERN_TEXT:]))[-1:]), None)
    answer = ((last[1] if last.re.groups else last[0]) or "").strip() if last else ""
    if not answer:
        raise Unreadable("no_answer")
    return answer


def conversation(value: Any) -> tuple[Message, ...]:
    """The turns of a conversation, also in ShareGPT's form or as JSON text. Raises `Unreadable`."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise Unreadable("no_conversation") from error
    if not isinstance(value, (list, tuple)) or not value:
        raise Unreadable("no_conversation")
    turns = _turns(value)
    if not any(turn["role"] == "user" for turn in turns):
        raise Unreadable("no_prompt")
    return turns


def _turns(values: Sequence[Any]) -> tuple[Message, ...]:
    turns = []
    for turn in values:
        if not isinstance(turn, Mapping):
            raise Unreadable("no_conversation")
        role = str(turn.get("role", turn.get("from"))).lower()
        role = ROLES.get(role, role)
        content = _content(turn.get("content", turn.get("value")))
        if role not in KNOWN_ROLES:
            raise Unreadable("no_conversation")
        if turn.get("tool_calls"):
            raise Unreadable("tool_calls")
        turns.append({"role": role, "content": text_of(content)})
    return tuple(turns)


def _content(content: Any) -> str:
    """The text of a turn, which may be a list of texts. Raises `Unreadable` for pictures and the like."""
    if isinstance(content, (list, tuple)):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            return "".join(texts)
    if not isinstance(content, str):
        raise Unreadable("no_conversation")
    return content


def text_of(value: Any) -> str:
    """A value as text, exactly: numbers as they are written, dates in ISO 8601. Raises `Unreadable` for a structure."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, (bool, int, float, Decimal)):
        return _spelt(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    raise Unreadable("not_text")


def _spelt(number: bool | float | Decimal) -> str:
    if isinstance(number, Number):
        return number.text
    if isinstance(number, bool):
        return "true" if number else "false"
    if isinstance(number, Decimal):
        return format(number, "f") if number.is_finite() else ""
    return repr(number)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a character pair, as JSON can spell it
        raise Unreadable("encoding") from error
    return text


def plain(value: Any, depth: int = DEEPEST) -> Any:
    """A value of a further column as JSON: numbers and texts as they are, all else as near as JSON has it.

    Raises `Unreadable`.
    """
    if not depth:
        raise Unreadable("too_deep")
    if isinstance(value, Mapping):
        return {_encodable(str(key)): plain(part, depth - 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, depth - 1) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else text_of(value) or None
    if value is None or isinstance(value, (bool, int)):
        return value
    try:
        return text_of(value)
    except Unreadable as error:
        if error.reason == "encoding":
            raise
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
