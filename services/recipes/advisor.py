"""One question to an OpenAI-compatible endpoint, in a process of its own that is killed at the deadline.

The answer is untrusted: its size is bounded, redirections are not followed, a strict schema parses it, and control
characters are removed. No error message quotes it.
"""

from __future__ import annotations

import hashlib
import time
import unicodedata
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from schemas.advisor import Advice, AdvisorRule
from schemas.base import Frozen, Sha256, canonical_json
from services.runtime import http_client
from services.runtime.jobs.runner import Report

MOST_BYTES = 1_000_000
"""Of an answer; the largest that fits the schema is about a tenth of that."""
LONGEST_WORDS, LONGEST_REASON = 8_000, 1_000
"""Characters that are kept, as `schemas.advisor` bounds them."""

TASK = """\
You advise an automatic search that fine-tunes a language model in rounds. Each round trains a few candidates, each a \
changed copy of the standing recipe. Every candidate is measured on a cheap dev set; few are measured on the target, \
which alone counts. Dev may mislead: rise where the target does not, or miss gains of the target.
You are given all the evidence that the search has: the standing recipe and what was learned (policy), every candidate \
with its recipe and scores (trials; each score as accuracy and items), standing drifts, and the changes that may be \
made (changes). In round 1 nothing has been measured yet.
Answer with two things. `proposals`: at most `slots` candidates worth training next, the best first. Each names one to \
`max_changes` of the given changes, each of another knob, and says in a sentence or two why; do not repeat a recipe \
that was tried. `words`: in at most 300 words, for the people who run this, what the evidence shows and what it does \
not."""


class AdvisorUnset(Exception):
    """The campaign has an advisor, but the endpoint is not configured."""


class EndpointUnreachable(Exception):
    """The address gave no HTTP answer."""


class EndpointFailed(Exception):
    """The endpoint answered with an error status."""


class AnswerUnusable(Exception):
    """The answer is too large or does not fit the schema."""


class Question(Frozen):
    """A question and its endpoint."""

    url: str | None
    """Address up to and without `/chat/completions`."""
    key_file: Path | None
    """File with the key, if the endpoint needs one."""
    rule: AdvisorRule
    """The campaign's rule: model, slots and deadline."""
    seed: int = Field(ge=0)
    """Seed of the answer, for endpoints that keep it."""
    max_changes: int = Field(ge=1)
    """Changes of one proposal."""
    round: int = Field(ge=1)
    """The round that is to be filled."""
    changes: tuple[str, ...]
    """Changes that may be proposed."""
    evidence: dict[str, Any]
    """What the search decides on."""


class Answered(Frozen):
    """An answer in the form that was asked for."""

    model: str
    """The model's name, as reported by the endpoint."""
    proposals: tuple[Advice, ...]
    """Proposals, unchecked."""
    words: str
    """Explanation."""
    answer: Sha256
    """Hash of the raw bytes."""
    seconds: float
    """Wall time until the answer had been read."""


def ask(question: Question, report: Report) -> Answered:
    """The endpoint's answer. Raises one of the four failures of this module."""
    begun = time.monotonic()
    body = _post(question, canonical_json(_request(question)).encode())
    try:
        completion = _Completion.model_validate_json(body)
        reply = _Reply.model_validate_json(completion.choices[0].message.content, strict=True)
        return Answered(
            model=printable(completion.model, 200) or question.rule.model,
            proposals=tuple(_advice(proposal) for proposal in reply.proposals),
            words=printable(reply.words, LONGEST_WORDS),
            answer=hashlib.sha256(body).hexdigest(),
            seconds=time.monotonic() - begun,
        )
    except ValidationError as error:
        faults = error.errors()
        raise AnswerUnusable(
            f"the answer of {len(body)} bytes has another form than the one asked for ({len(faults)} faults, the "
            f"first: {faults[0]['type']}); use a model that keeps response_format json_schema"
        ) from None


def printable(text: str, longest: int) -> str:
    """The text without control, format and private characters, line breaks aside, cut to a length."""
    clean = "".join(c for c in text if c == "\n" or not unicodedata.category(c).startswith("C"))
    return clean if len(clean) <= longest else f"{clean[: longest - 3]}..."


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    """The part of a chat completion that is read."""

    model: str = ""
    choices: list[_Choice] = Field(min_length=1)


class _Proposal(Frozen):
    changes: tuple[str, ...] = Field(max_length=16)
    reason: str


class _Reply(Frozen):
    """The model's reply; unknown keys are an error."""

    proposals: tuple[_Proposal, ...] = Field(max_length=64)
    words: str


def _advice(proposal: _Proposal) -> Advice:
    changes = tuple(printable(change, 200) for change in proposal.changes)
    return Advice(changes=changes, reason=printable(proposal.reason, LONGEST_REASON))


def _request(question: Question) -> dict[str, Any]:
    """A chat completion whose answer must fit the schema. It holds the evidence and nothing else of the campaign."""
    fields = question.model_dump(mode="json", include={"round", "changes", "max_changes", "evidence"})
    return {
        "model": question.rule.model,
        "messages": [
            {"role": "system", "content": TASK},
            {"role": "user", "content": canonical_json({**fields, "slots": question.rule.slots})},
        ],
        "temperature": 0,
        "seed": question.seed % 2**31,  # some endpoints read 32 bits with a sign
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "advice", "strict": True, "schema": _schema(question.changes)},
        },
    }


def _schema(changes: tuple[str, ...]) -> dict[str, Any]:
    named = {"type": "array", "items": {"type": "string", "enum": list(changes)}}
    proposal = _object({"changes": named, "reason": {"type": "string"}})
    return _object({"proposals": {"type": "array", "items": proposal}, "words": {"type": "string"}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _post(question: Question, body: bytes) -> bytes:
    if question.url is None:
        raise AdvisorUnset("AEVOLVE_ADVISOR_URL: not set; give the recipes service the address of the endpoint")
    parts = urlsplit(question.url)
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/chat/completions"
    headers = {"Content-Type": "application/json", **_authorization(question)}
    try:
        answer = http_client.send("POST", url, headers, body, seconds=question.rule.seconds, most_bytes=MOST_BYTES + 1)
    except http_client.NoAnswer as error:
        raise EndpointUnreachable(
            f"AEVOLVE_ADVISOR_URL: the endpoint gave no answer ({error.strerror or error}); start it or correct the "
            "address"
        ) from error
    if answer.status != HTTPStatus.OK:
        raise EndpointFailed(
            f"the endpoint answered with status {answer.status}; see its log (a redirection is not followed: "
            "give the final address in AEVOLVE_ADVISOR_URL)"
        )
    if len(answer.body) > MOST_BYTES:
        raise AnswerUnusable(f"the answer has more than {MOST_BYTES} bytes; the rest was not read")
    return answer.body


def _authorization(question: Question) -> dict[str, str]:
    if question.key_file is None:
        return {}
    try:
        return {"Authorization": f"Bearer {question.key_file.read_text().strip()}"}
    except OSError as error:
        raise AdvisorUnset(
            f"AEVOLVE_ADVISOR_KEY_FILE: {question.key_file} cannot be read ({error.strerror}); name a readable file"
        ) from error
