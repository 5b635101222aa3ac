"""Recomputes a recorded score from its receipt and compares it with the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from judgement.history import History
from schemas.campaign import Constitution
from schemas.events import GuardsReported, ScoresReported
from schemas.scores import BASE, Receipt, Scores
from schemas.targets import Outside
from services.oracle import receipts, records
from services.oracle.boards.ask import board_kind, scores_of
from services.oracle.boards.board import ScoreOutOfScale
from services.oracle.receipts import Line, ReceiptForged
from services.oracle.records import Record
from services.oracle.sets import draw_set, sealed_set
from services.oracle.suites import Suites, by_domain
from tasks.scorers.scorer import ScoreInvalid
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed

State = Literal["identical", "different", "missing", "changed"]

JUDGED = "outputs scored again"
COUNTED = "verdicts counted again"
ANSWERED = "the board's answer read again"
"""How far a receipt was followed: its outputs need the set's items, and those the oracle's key."""


@dataclass(frozen=True)
class Rescored:
    """A score beside its repetition."""

    candidate: str
    """Candidate id, or `base`."""
    kind: str
    """The set, or `guards`."""
    state: State
    """`identical`, `different`, `missing` where receipt or items are not here, or `changed` where items or scorers are
    not those of the campaign's start, so that nothing can be compared."""
    words: str
    """The finding, as text for the user."""


def rescore(
    history: History,
    event: ScoresReported | GuardsReported,
    path: str,
    key: bytes | None,
    suites: Callable[[], Suites] | None = None,
) -> Rescored:
    """One score again, its receipt lying at `path`; without the key the verdicts of a sealed set are taken as they are.

    The history is that of the campaign after the event or later. `suites` opens its suites; without it their scores are
    counted again only.
    """
    kind = event.kind if isinstance(event, ScoresReported) else "guards"
    try:
        state, words = _compared(history, event, path, key, suites)
    except FileNotFoundError:
        state, words = "missing", f"receipt {path} is not here; the score cannot be computed again"
    except ReceiptForged as forged:
        state, words = "different", str(forged)
    except ItemsChanged as changed:
        state, words = "changed", f"the receipt is not judged: {changed}"
    except SuiteRefused as refused:
        state, words = "missing", f"the items or scorers are not here: {refused}"
    except (ScoreInvalid, UserCodeFailed) as fault:
        state, words = "missing", f"its scorer fails here ({type(fault).__name__}): {fault}"
    return Rescored(event.candidate, kind, state, words + _otherwise(history, event))


def _otherwise(history: History, event: ScoresReported | GuardsReported) -> str:
    """How the campaign treats a score whose stamp differs from the base's; empty if it does not differ."""
    trial = history.trials[event.candidate]
    if isinstance(event, ScoresReported) and event.kind in trial.moved:
        return "; compared in the campaign after what the base scores under its stamp"
    failure = trial.unguarded if isinstance(event, GuardsReported) else trial.unmeasured.get(event.kind)
    return "; not compared in the campaign: its stamp is not the base's" if failure == "OtherStamp" else ""


def _compared(
    history: History,
    event: ScoresReported | GuardsReported,
    path: str,
    key: bytes | None,
    suites: Callable[[], Suites] | None,
) -> tuple[State, str]:
    if isinstance(event, GuardsReported):
        return _verdict(event.suites, _listed(event.receipt, path), COUNTED)
    recorded: dict[str, Scores] = {event.kind: event.scores}
    if event.kind in history.campaign.constitution.lists:
        return _verdict(recorded, _listed(event.receipt, path), COUNTED)
    if event.kind == "external" and isinstance(history.campaign.constitution.target, Outside):
        return _verdict(recorded, {event.kind: _answered(history.campaign.constitution, event, path)}, ANSWERED)
    if key is None or (history.campaign.constitution.suites and suites is None):
        again = receipts.count(receipts.read(event.receipt, path, Line))
        return _verdict(recorded, {event.kind: again}, COUNTED)
    return _verdict(recorded, {event.kind: _sealed(history, event, path, key, suites)}, JUDGED)


def _listed(receipt: Receipt, path: str) -> dict[str, Scores]:
    return records.count(receipts.read(receipt, path, Record))


def _answered(law: Constitution, event: ScoresReported, path: str) -> Scores:
    """The scores that a board's stored answer gives on the campaign's scale."""
    assert isinstance(law.target, Outside)
    raw = receipts.read_bytes(event.receipt, path)
    try:
        status = board_kind(law.target).read("", raw)
        if status.state != "scored":
            raise ReceiptForged(f"receipt {path}: the board's answer is {status.state} and holds no score; ask again")
        return scores_of(status, law.target, law.domains)
    except (ValueError, KeyError, ScoreOutOfScale) as error:
        raise ReceiptForged(f"receipt {path}: is no score of this target ({type(error).__name__})") from error


def _sealed(
    history: History, event: ScoresReported, path: str, key: bytes, suites: Callable[[], Suites] | None
) -> Scores:
    campaign, law = history.campaign, history.campaign.constitution
    item_set = sealed_set(campaign, event.kind, _round(history, event.candidate))
    if not law.suites or suites is None:
        items = draw_set(event.kind, item_set.spec, law.domains, key, item_set.nonce)
        return receipts.rescore(event.receipt, items, key, path)
    opened = suites()
    parts = opened.draw(item_set, law.domains, key)
    expected = [item.id for items in by_domain(parts).values() for item in items]
    return receipts.compare(event.receipt, expected, lambda outputs: opened.lines(parts, outputs, key), path)


def _round(history: History, candidate: str) -> int:
    """The round whose confirmation a candidate was measured on; the base's is drawn before the first."""
    rounds = (r for r, chosen in history.submissions.items() if any(s.candidate == candidate for s in chosen.confirm))
    return 0 if candidate == BASE else next(rounds, 0)


def _verdict(recorded: Mapping[str, Scores], again: Mapping[str, Scores], how: str) -> tuple[State, str]:
    wrong = [name for name in {**recorded, **again} if recorded.get(name) != again.get(name)]
    if wrong:
        pair = f"{_show(recorded.get(wrong[0]))}, the receipt gives {_show(again.get(wrong[0]))}"
        return "different", f"{wrong[0]} is recorded as {pair}"
    accuracies = ", ".join(f"{name} {100 * scores.score:.1f} %" for name, scores in again.items())
    return "identical", f"{accuracies} of {sum(scores.n for scores in again.values())} items, {how}"


def _show(scores: Scores | None) -> str:
    return f"{100 * scores.score:.2f} ± {100 * scores.se:.2f} % of {scores.n} items" if scores else "nothing"
