"""The Nemotron Reasoning Challenge's scorer: one answer out of a text, one verdict on it.

Semantics of the challenge's metric in its newest form (answers may hold a closing brace; binary strings are compared
strictly), with two guards of our own: only finite numbers in ASCII digits are numbers, and saying nothing or repeating
the prompt is never an answer.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

NOT_FOUND = "NOT_FOUND"
"""What `extract` returns for a text without any answer."""

BOX = "\\boxed{"

FALLBACKS = (
    re.compile(r"The final answer is:\s*([^\n]+)", re.IGNORECASE),
    re.compile(r"Final answer is:\s*([^\n]+)", re.IGNORECASE),
    re.compile(r"Final answer\s*[:：]\s*([^\n]+)", re.IGNORECASE),  # noqa: RUF001  # the challenge takes the wide colon
)
"""Phrases that announce an answer outside a box, in the order in which they are tried; the last occurrence counts."""

LAST_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
BOXES = re.compile(r"\\(?:boxed|fbox)\s?\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
BINARY = re.compile(r"[01]+")


def extract(text: str) -> str:
    r"""The answer that a text gives: its last non-empty box, else the first fallback that matches, else `NOT_FOUND`.

    Empty boxes answer nothing: `\boxed{} The final answer is: 7` gives 7. A text with nothing but them, or with no
    announced answer and no number besides, answers with the empty string.
    """
    boxes = _boxes(text)
    if full := next((box for box in reversed(boxes) if box), None):
        return full
    for phrase in FALLBACKS:
        if matches := phrase.findall(text):
            return str(matches[-1]).strip()
    if numbers := LAST_NUMBER.findall(text):
        return str(numbers[-1])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if boxes:
        return ""
    return lines[-1] if lines else NOT_FOUND


def verify(stored: str, predicted: str) -> bool:
    """Whether a predicted answer is right: equal text for binary strings, within 1 % for numbers, else equal text.

    Text is compared without case and outer blanks. An empty or missing prediction is wrong whatever is stored.
    """
    stored, predicted = stored.strip(), predicted.strip()
    if predicted in ("", NOT_FOUND):
        return False
    if BINARY.fullmatch(stored):
        return stored == predicted
    left, right = _number(stored), _number(predicted)
    if left is not None and right is not None:
        return math.isclose(left, right, rel_tol=1e-2, abs_tol=1e-5)
    return stored.lower() == predicted.lower()


def correct(prompt: str, output: str, stored: str) -> bool:
    """Whether a model's whole output gives the stored answer; a repeated prompt in it, whole or cut off, is ignored."""
    completion = without_prompt(prompt, output)
    repeated = not (output.replace(prompt, "") if prompt else output).strip()
    if repeated or not completion.strip() or prompt.strip().startswith(completion.strip()):
        return False
    return verify(stored, extract(completion))


def without_prompt(prompt: str, text: str) -> str:
    """A text without repetitions of the prompt. A box stays whole: an answer, or `boxed`, may contain the prompt.

    A prompt of one word is removed as a whole word only: 42 does not repeat the prompt 4.
    """
    if not prompt.strip() or prompt not in text:
        return text
    boxes = list(BOXES.finditer(text))
    begins = [box.start() for box in boxes]
    ends = list(accumulate(closings(text, [box.end() for box in boxes]), max))  # a box within another ends with it
    left, right = "", ""
    if len(prompt.split()) == 1:
        left, right = (r"(?<!\w)" if is_word(prompt[0]) else ""), (r"(?!\w)" if is_word(prompt[-1]) else "")

    def unless_in_box(match: re.Match[str]) -> str:
        first, last = (bisect_right(begins, place) - 1 for place in (match.start(), match.end() - 1))
        begins_in_box = first >= 0 and match.start() <= ends[first]
        ends_in_box = last >= 0 and match.end() <= ends[last]
        return match[0] if begins_in_box or ends_in_box else ""

    return re.sub(left + re.escape(prompt) + right, unless_in_box, text)


def closings(text: str, starts: Sequence[int]) -> list[int]:
    """Where boxes end whose contents begin at these places; one without its closing brace ends with its line."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for match in BRACE.finditer(text) if starts else ():
        if match[0] == "{":
            opened.append(match.end())
        elif match[0] == "}" and opened:
            ends[opened.pop()] = match.start()
    places = []
    for start in starts:
        if (end := ends.get(start)) is None:
            line = text.find("\n", start)
            end = line if line >= 0 else len(text)
        places.append(end)
    return places


def is_word(character: str) -> bool:
    """Whether a character is a part of words, as for a regular expression."""
    return character.isalnum() or character == "_"


def _boxes(text: str) -> list[str]:
    """Content of every box: up to the last closing brace before the next box, or to its end where none closes it."""
    return [(part.rpartition("}")[0] if "}" in part else part).strip() for part in text.split(BOX)[1:]]


def _number(text: str) -> float | None:
    """The finite number that a text spells in ASCII digits; `nan`, `inf` and `1_000` are text."""
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
