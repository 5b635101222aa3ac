"""Builds rows: their core, their provenance, and the cleaning of their texts.

The core of a row is its content without its form: of a question its characters (`tasks.formats.core_of`), of a plain
text the SHA-256 of the normalised text. Normalised: Unicode's NFKC, case-folded, each run of white space one blank,
none at the ends.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.base import canonical_json
from schemas.rows import UNGRADED, Row
from schemas.sources import Source
from services.data.sources.source import Refused
from tasks.formats import Unreadable, core_of
from tasks.puzzles.scorer import BOX


@dataclass(frozen=True)
class Provenance:
    """The provenance of a row."""

    uri: str
    """Its origin."""
    sha256: str
    """Hash of the fetched bytes."""
    fetched_at: str
    """ISO 8601 in UTC."""
    licence: str = ""
    """Its own licence, if it states one."""


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def normal(text: str) -> str:
    """The normalised form of a text."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def sha256(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def plain(spec: Source, text: str, provenance: Provenance) -> Row:
    """A row of plain text. Raises `Refused` if it is empty."""
    text = clean(text).strip()
    if not text:
        raise Refused("no_text")
    return _row(spec, provenance, trace=text, core=sha256(normal(text).encode()))


def question(spec: Source, prompt: str, answer: str, trace: str, provenance: Provenance, *, form: str = "") -> Row:
    """A row of question and answer, learnt in a form (`Row.form`). Raises `Refused` if one is missing."""
    prompt, answer, trace = clean(prompt).rstrip("\n"), clean(answer).strip(), clean(trace).strip()
    if not prompt.strip():
        raise Refused("no_prompt")
    if not answer:
        raise Refused("no_answer")
    if not form:
        trace = trace.removesuffix(f"{BOX}{answer}}}").rstrip()  # `Row.completion` adds it
    return _row(spec, provenance, prompt=prompt, answer=answer, trace=trace, core=core_of(prompt), form=form)


def record_sha256(record: Mapping[str, Any] | Unreadable) -> str:
    """Hash of a record without bytes of its own: of its canonical JSON, with other values as text."""
    if isinstance(record, Unreadable):
        return ""
    values = {key: value if _is_json(value) else str(value) for key, value in record.items()}
    return sha256(canonical_json(values).encode(errors="surrogatepass"))


def clean(text: str) -> str:
    """The text without U+0000, which databases refuse. Raises `Refused` for half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("encoding") from error
    return text.replace("\0", "")


def whole(name: str) -> str:
    """A name with its invalid bytes, such as those of a file name that is no UTF-8, as escapes."""
    return name.replace("\0", "").encode(errors="backslashreplace").decode()


def path_key(path: Path) -> str:
    """The state key of a file: its path."""
    return whole(str(path))


def _row(
    spec: Source, provenance: Provenance, *, trace: str, core: str, prompt: str = "", answer: str = "", form: str = ""
) -> Row:
    return Row(
        domain=spec.domain,
        difficulty=UNGRADED,
        wording=0,
        prompt=prompt,
        answer=answer,
        trace=trace,
        core=core,
        source=spec.name,
        uri=whole(provenance.uri),
        licence=whole(provenance.licence or spec.licence),
        sha256=provenance.sha256,
        fetched_at=provenance.fetched_at,
        form=form,
    )


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
