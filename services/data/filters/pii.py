"""Personal data: each match that a check confirms is replaced by a placeholder, or its row is dropped.

Patterns find candidates, and libraries check them: `phonenumbers` (Google's libphonenumber), `stdnum` (check digits of
cards, IBANs and US social security numbers) and `ipaddress`. Names and postal addresses have no such
check and are kept.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import phonenumbers
from stdnum import iban, luhn
from stdnum.us import ssn

from schemas.rows import Row
from services.data.filters.filter import Dropped

FIELDS = ("prompt", "trace", "core", "rejected")
"""Fields that may be scrubbed; an answer may not, since a verifier compares it, nor columns, which scorers read."""

REGIONS = (None, "US", "GB")
"""How a phone number is parsed: by its country code first, then as a national number of these."""

DIGITS = 9
"""Minimum digits of a phone number: a date has eight."""


@dataclass(frozen=True)
class Kind:
    """One kind of personal data."""

    name: str
    pattern: re.Pattern[str]
    confirmed: Callable[[str], bool] = lambda _: True

    @property
    def placeholder(self) -> str:
        """The replacement text."""
        return f"[{self.name}]"


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) > 1 and luhn.is_valid(digits)


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _phone(text: str) -> bool:
    if sum(map(str.isdigit, text)) < DIGITS:
        return False
    for region in REGIONS:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


KINDS = (
    Kind("email", re.compile(r"[\w.+%'-]+(?:@|\s?[\[(]at[\])]\s?)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")),
    Kind("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban.is_valid),
    Kind("card", re.compile(r"(?<![\w.])[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{1,7}(?![\w.]\d)"), _card),
    Kind("card", re.compile(r"(?<![\w.])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?!\w)"), _card),
    Kind("ssn", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), ssn.is_valid),
    Kind("ip", re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]\d)"), _public),
    Kind("ip", re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,6}(?![\w:])"), _public),
    Kind("phone", re.compile(r"(?<![\w.])\+\d[\d ().-]{6,18}\d(?!\w)"), _phone),
    Kind(
        "phone",
        re.compile(r"(?<![\w.-])(?:\(\d{2,5}\)[ -]?|\d{2,5}[ .-])\d{2,4}(?:[ .-]\d{2,5}){1,3}(?![\w-])"),
        _phone,
    ),
)
"""Kinds, the more specific first."""

SUSPECT = re.compile(r"@|[\[(]at[\])]|\d[\d .:()A-Z-]{5}|::")
"""A quick test: a text without a match has no kind."""


def scrub(text: str) -> tuple[str, dict[str, int]]:
    """The text with placeholders, and the number of matches of each kind."""
    matches: dict[str, int] = {}
    if not SUSPECT.search(text):
        return text, matches
    for kind in KINDS:

        def replacement(match: re.Match[str], kind: Kind = kind) -> str:
            if not kind.confirmed(match[0]):
                return match[0]
            matches[kind.name] = matches.get(kind.name, 0) + 1
            return kind.placeholder

        text = kind.pattern.sub(replacement, text)
    return text, matches


def scrubbed_turns(messages: str) -> str:
    """A conversation as JSON, without personal data in its turns."""
    turns = [{**turn, "content": scrub(turn["content"])[0]} for turn in json.loads(messages)]
    return json.dumps(turns, ensure_ascii=False)


class ScrubPersonal:
    """Replaces personal data; drops a row with personal data in its answer, which cannot be replaced."""

    name = "pii"

    def judge(self, row: Row) -> Row | Dropped:
        """The row without personal data."""
        if kinds := scrub(row.answer)[1]:
            return Dropped(self.name, min(kinds), "in the answer")
        changed: dict[str, Any] = {
            field: scrubbed for field in FIELDS if (scrubbed := scrub(text := getattr(row, field))[0]) != text
        }
        if row.messages and (messages := scrubbed_turns(row.messages)) != row.messages:
            changed["messages"] = messages
        return replace(row, **changed) if changed else row


class DropPersonal:
    """Drops rows with personal data."""

    name = "pii"

    def judge(self, row: Row) -> Row | Dropped:
        """The row, unless it holds personal data."""
        for text in (row.answer, *(getattr(row, field) for field in FIELDS)):
            if kinds := scrub(text)[1]:
                return Dropped(self.name, min(kinds))
        return row
