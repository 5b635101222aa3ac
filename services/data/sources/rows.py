"""How a row is made of what a source found: its core, its provenance, and the check of an answer that it states.

The core of a row is what it says, without how it looks: of a question the normalised prompt, of a plain text the
SHA-256 of the normalised text. Normal is: Unicode's NFKC, case-folded, each run of white space one blank, none outside.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from judgement.scorer import BOX, correct
from schemas.base import canonical_json
from schemas.rows import UNGRADED, Row
from schemas.sources import Columns, Source
from services.data.sources.refusal import Refused


@dataclass(frozen=True)
class Found:
    """Where a row comes from."""

    uri: str
    """Its address or place."""
    sha256: str
    """Hash of what was fetched."""
    fetched_at: str
    """When, ISO 8601 in UTC."""
    licence: str = ""
    """Its licence, where it says one itself."""


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def normal(text: str) -> str:
    """The normalised form of a text."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def sha256(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def plain(spec: Source, text: str, found: Found) -> Row:
    """A row of plain text. Raises `Refused` where there is none."""
    text = clean(text).strip()
    if not text:
        raise Refused("no_text")
    return _row(spec, found, trace=text, core=sha256(normal(text).encode()))


def question(spec: Source, prompt: str, answer: str, trace: str, found: Found) -> Row:
    """A row of question and answer. Raises `Refused` where one is missing."""
    prompt, answer, trace = clean(prompt).rstrip("\n"), clean(answer).strip(), clean(trace).strip()
    if not prompt.strip():
        raise Refused("no_prompt")
    if not answer:
        raise Refused("no_answer")
    trace = trace.removesuffix(f"{BOX}{answer}}}").rstrip()  # the completion adds it
    return _row(spec, found, prompt=prompt, answer=answer, trace=trace, core=normal(prompt))


def from_record(spec: Columns, record: Mapping[str, Any], found: Found) -> Row:
    """The row that a record's columns hold.

    Raises `Refused` where a column is missing, is no text, or holds an answer that its worked steps do not give.
    """
    if any(len(value) > spec.max_bytes for value in record.values() if isinstance(value, str)):
        raise Refused("too_long")
    found = Found(
        uri=_optional(record, spec.uri_column) or found.uri,
        sha256=found.sha256,
        fetched_at=found.fetched_at,
        licence=_optional(record, spec.licence_column) or found.licence,
    )
    if spec.prompt is None or spec.answer is None:
        return plain(spec, _text(record, spec.text, "no_text"), found)
    prompt = _text(record, spec.prompt, "no_prompt")
    answer = _text(record, spec.answer, "no_answer")
    trace = _optional(record, spec.trace)
    if spec.verifier == "stated" and BOX in trace and not correct(prompt, trace, answer):
        raise Refused("unverified")
    return question(spec, prompt, answer, trace, found)


def record_sha256(record: Mapping[str, Any]) -> str:
    """Hash of a record that has no bytes of its own: of its canonical JSON, values that JSON does not know as text."""
    known = {key: value if _is_json(value) else str(value) for key, value in record.items()}
    return sha256(canonical_json(known).encode(errors="surrogatepass"))


def clean(text: str) -> str:
    """The text without U+0000, which no database keeps. Raises `Refused` where it holds half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("encoding") from error
    return text.replace("\0", "")


def whole(name: str) -> str:
    """A name with what is no character, such as bytes of a file's name that are no UTF-8, spelt out."""
    return name.replace("\0", "").encode(errors="backslashreplace").decode()


def _row(spec: Source, found: Found, *, trace: str, core: str, prompt: str = "", answer: str = "") -> Row:
    return Row(
        domain=spec.domain,
        difficulty=UNGRADED,
        wording=0,
        prompt=prompt,
        answer=answer,
        trace=trace,
        core=core,
        source=spec.name,
        uri=whole(found.uri),
        licence=whole(found.licence or spec.licence),
        sha256=found.sha256,
        fetched_at=found.fetched_at,
    )


def _text(record: Mapping[str, Any], column: str, missing: str) -> str:
    value = record.get(column)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise Refused(missing)
    return value


def _optional(record: Mapping[str, Any], column: str | None) -> str:
    value = record.get(column) if column else None
    return value if isinstance(value, str) else ""


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
