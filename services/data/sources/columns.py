"""How a source's records become rows: by columns that the campaign names, or that are detected (`tasks.formats`).

A record is a plain text, a question with what is to be learnt, a conversation, or a preference pair. The core of a row
with a question keeps every character (`tasks.formats.core_of`): `2³` and `23` are different questions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from schemas.base import canonical_json
from schemas.rows import UNGRADED, Row
from schemas.sources import Columns
from schemas.suites import ColumnNames
from services.data.sources.rows import Provenance, clean, plain, question, whole
from services.data.sources.source import Refused, RoundContext
from tasks.formats import CONVERSATIONS, Fields, FormatUnknown, Unreadable, core_of, detect, read, text_of
from tasks.puzzles.scorer import BOX, correct
from tasks.records import from_arrow

DEFAULT_TEXT = Columns.model_fields["text"].default

COLUMNS_CHARACTERS = 100_000
"""Most characters of a record's further columns as JSON; a record with more gives no row."""


Record = Mapping[str, Any] | Unreadable
"""A record, or why it cannot be read."""


class Reader:
    """Makes the rows of one source."""

    def __init__(self, spec: Columns, context: RoundContext) -> None:
        self.spec, self._suites = spec, context.suites
        self._domains = frozenset(spec.domains)

    def roles(self, present: Collection[str]) -> ColumnNames | None:
        """The roles of a file's columns; None for plain texts. Raises `FormatUnknown` for an absent column."""
        named = self._named
        if not named.named:
            if self.spec.text in present:
                return None
            if self.spec.text != DEFAULT_TEXT:
                raise _absent(self.spec.text, present)
        if missing := [name for name in named.named.values() if name not in present]:
            raise _absent(missing[0], present)
        roles = self._prompt_alone(present) if self.spec.named.keys() == {"prompt"} else detect(present, named)
        if not self.spec.domain_column and not self._domains:
            roles = roles.model_copy(update={"domain": None})
        return roles

    def roles_of_lines(self, present: Collection[str]) -> ColumnNames | None:
        """As `roles`, for lines that may each have other keys: a named column may be missing in those that were seen.

        Lines without a known column are plain texts, and refused as such.
        """
        try:
            return self.roles(present)
        except FormatUnknown:
            return self._named if self.spec.named else None

    @property
    def _named(self) -> ColumnNames:
        spec = self.spec
        return ColumnNames(**spec.named, domain=spec.domain_column, answer_pattern=spec.answer_pattern)

    def _prompt_alone(self, present: Collection[str]) -> ColumnNames:
        """The other roles of a file of which the question alone is named."""
        prompt = self.spec.prompt
        others = [name for name in present if name != prompt and name not in CONVERSATIONS]
        roles = detect(["prompt", *others], self._named.model_copy(update={"prompt": None, "domain": None}))
        return roles.model_copy(update={"prompt": prompt, "domain": self.spec.domain_column or roles.domain})

    def read_columns(self, present: Collection[str], roles: ColumnNames | None) -> list[str]:
        """The columns that rows are made of: all of them where scorers may want the rest."""
        if self._suites is not None and roles is not None:
            return list(present)
        spec, used = self.spec, {self.spec.text} if roles is None else set(roles.named.values())
        if roles is not None and roles.prompt == "instruction":
            used.add("input")
        used |= {name for name in (spec.uri_column, spec.licence_column) if name}
        return [name for name in present if name in used]

    def row(self, record: Record, provenance: Provenance, roles: ColumnNames | None) -> Row:
        """The row of a record. Raises `Refused`."""
        spec = self.spec
        if isinstance(record, Unreadable):
            raise Refused(record.reason)
        if any(_size(value) > spec.max_bytes for value in record.values()):
            raise Refused("too_long")
        provenance = replace(
            provenance,
            uri=_optional(record, spec.uri_column) or provenance.uri,
            licence=_optional(record, spec.licence_column) or provenance.licence,
        )
        try:
            if roles is None:
                return plain(spec, _text(record, spec.text), provenance)
            return self._question(read(record, roles), provenance, roles)
        except Unreadable as error:
            raise Refused(error.reason) from error

    def _question(self, fields: Fields, provenance: Provenance, roles: ColumnNames) -> Row:
        domain = fields.domain or self.spec.domain
        if self._domains and domain not in self._domains:
            raise Refused("other_domain")
        taught, answer = _taught(fields, roles)
        if taught is None:
            row = self._with_answer(fields, provenance)
        else:
            row = self._as_it_stands(fields, provenance, taught, answer)
        row = replace(row, domain=domain)
        return replace(row, columns=columns_text(fields.columns)) if self._suites is not None else row

    def _with_answer(self, fields: Fields, provenance: Provenance) -> Row:
        """A question with its answer, and perhaps worked steps."""
        spec = self.spec
        form = spec.form or (self._suites.form(spec, fields.answer, fields.trace) if self._suites else "")
        boxes = not form and self._suites is None and spec.verifier == "stated" and BOX in fields.trace
        if fields.answer.strip() and boxes and not correct(fields.prompt, fields.trace, fields.answer):
            raise Refused("unverified")
        return question(spec, fields.prompt, fields.answer, fields.trace, provenance, form=form)

    def _as_it_stands(self, fields: Fields, provenance: Provenance, taught: str, answer: str) -> Row:
        """A completion, a conversation's last turn, or the better answer of a pair."""
        spec, prompt = self.spec, clean(fields.prompt).rstrip("\n")
        if not prompt.strip():
            raise Refused("no_prompt")
        if not taught.strip():
            raise Refused("no_completion")
        if "{answer}" in spec.form and not answer:
            raise Refused("no_answer")
        turns = [{name: clean(text) for name, text in turn.items()} for turn in fields.messages]
        return Row(
            domain=spec.domain,
            difficulty=UNGRADED,
            wording=0,
            prompt=prompt,
            answer=clean(answer).strip(),
            trace=clean(taught),
            core=core_of(prompt, fields.asked),
            source=spec.name,
            uri=whole(provenance.uri),
            licence=whole(provenance.licence or spec.licence),
            sha256=provenance.sha256,
            fetched_at=provenance.fetched_at,
            form=spec.form or "{trace}",
            messages=json.dumps(turns, ensure_ascii=False) if turns else "",
            rejected=clean(fields.rejected),
        )


def _absent(column: str, present: Collection[str]) -> FormatUnknown:
    return FormatUnknown(f"there is no column {column!r}, only {', '.join(present)}; name one of them")


def _taught(fields: Fields, roles: ColumnNames) -> tuple[str | None, str]:
    """The text that is learnt as it stands, None if it is made of steps and answer; and the answer if it is known."""
    if roles.messages or roles.chosen:
        return fields.completion, fields.answer if roles.answer and not roles.chosen else ""
    cut_out = roles.answer_pattern and roles.answer and not roles.trace
    if roles.completion or cut_out:
        return fields.completion, fields.answer if roles.answer else ""
    return None, fields.answer


def columns_text(columns: Mapping[str, Any]) -> str:
    """A record's further columns as JSON, empty without any. Raises `Refused` if they are too long or no text."""
    if not columns:
        return ""
    try:
        text = canonical_json(dict(columns))
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("encoding") from error
    except (TypeError, ValueError) as error:
        raise Refused("columns") from error
    if len(text) > COLUMNS_CHARACTERS:
        raise Refused("columns_too_long")
    return text


def records_of(batch: Any) -> Iterator[Record]:
    """The records of an Arrow batch; one that cannot be read is refused by itself."""
    try:
        records = list(from_arrow(batch))
    except (ValueError, OverflowError):  # bytes that are no UTF-8 within a list, a date that Python does not have
        records = [_one(batch.slice(at, 1)) for at in range(batch.num_rows)]
    yield from records


def _one(batch: Any) -> Record:
    try:
        return next(from_arrow(batch))
    except UnicodeDecodeError:
        return Unreadable("encoding")
    except (ValueError, OverflowError):
        return Unreadable("not_text")


def _size(value: Any) -> int:
    """Bytes of the texts in a value, as in a line of JSON, so that no format takes what another refuses."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else 0


def _text(record: Mapping[str, Any], column: str) -> str:
    value = record.get(column)
    is_value = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not is_value or not (text := text_of(value)).strip():
        raise Refused("no_text")
    return text


def _optional(record: Mapping[str, Any], column: str | None) -> str:
    value = record.get(column) if column else None
    return value if isinstance(value, str) else ""
