"""What a candidate answered on dev, right and wrong: never a prompt, a right answer, or anything of another set.

A receipt of the target, of the final or the confirming items is not opened here, whoever asks. What it says of dev is
the model's own text, which may hold anything: templates escape it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.artifacts import receipt_place
from schemas.events import ScoresReported
from services.oracle.receipts import Line, ReceiptForged, read
from services.runtime.storage.object_store import StoreFailed

EACH = 2
"""Right and wrong answers that are shown of a domain."""
LONGEST = 2_000
"""Characters of an answer that are shown."""


@dataclass(frozen=True)
class Sample:
    """One answer."""

    domain: str
    """The domain asked in."""
    right: bool
    """The scorer's verdict."""
    output: str
    """What the model wrote."""


def samples(event: ScoresReported, folders: Sequence[str]) -> list[Sample] | str:
    """The first answers of each domain and verdict on dev; in words why there are none."""
    if event.kind != "dev":
        raise ValueError(f"{event.kind}: its items are sealed; ask for samples of dev")
    try:
        place = receipt_place(event.receipt, folders)
        return list(_first(read(event.receipt, place, Line)))
    except FileNotFoundError:
        return f"The receipt is not on this machine: {event.receipt.uri}"
    except (ReceiptForged, StoreFailed) as error:
        return str(error)


def _first(lines: Sequence[Line]) -> Iterator[Sample]:
    for domain in dict.fromkeys(line.domain for line in lines):
        for right in (True, False):
            held = [line for line in lines if (line.domain, line.correct) == (domain, right)]
            yield from (Sample(domain, right, line.output[:LONGEST]) for line in held[:EACH])
