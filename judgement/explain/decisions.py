"""The texts of single decisions with their numbers, for a reader without the code or the statistics.

A score is written in percent, a difference in points (1 point = 1 percent of the items), a probability as "x in 100".
Events store these texts, so they keep their bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from judgement.trial import Trial
from schemas.policy import AxisBelief, Best, DeadEnd, Distrust, Estimate
from schemas.recipe import Change, show
from schemas.scores import BASE, Scores


def percent(share: float) -> str:
    """An accuracy, as 47.5 %."""
    return f"{100 * share:.1f} %"


def points(estimate: Estimate) -> str:
    """A difference with its uncertainty, as +3.1 ± 1.2 points."""
    return f"{100 * estimate.mean:+.1f} ± {100 * estimate.sd:.1f} points"


def chance(probability: float) -> str:
    """A probability, as 93 in 100; never quite 0 or 100."""
    return f"{min(99, max(1, round(100 * probability)))} in 100"


def scores(trial: Trial) -> str:
    """A candidate's measurements, as dev 51.7 %, target 30.0 %."""
    kinds = (("dev", "dev"), ("confirm", "dev on fresh items"), ("external", "target"))
    return ", ".join(f"{word} {percent(trial.scores[kind].score)}" for kind, word in kinds if kind in trial.scores)


def label(trial: Trial) -> str:
    """A candidate and its changes, as r1s2 (traces=1)."""
    return f"{trial.candidate} ({trial.intervention})"


def joined(parts: Sequence[str]) -> str:
    """A list as text, as a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def harm(change: Change, trial: Trial, gain: Estimate, probability: float) -> str:
    """Why a value is closed."""
    return (
        f"{change.knob} from {show(change.before)} to {show(change.after)} changed the target by {points(gain)} "
        f"({trial.candidate}: {scores(trial)}); it does harm with a chance of {chance(probability)}."
    )


def best(trial: Trial, estimate: Estimate) -> str:
    """Why a candidate is submitted as the best."""
    expected = f"{percent(estimate.mean)} ± {100 * estimate.sd:.1f}"
    return f"Highest expected target of those not yet measured: {expected}; {scores(trial)}."


def highest_dev(trial: Trial) -> str:
    """Why the candidate with the highest dev is submitted."""
    return f"Audit: highest dev of the round ({scores(trial)}), which is where dev would mislead most if it did."


def reference(trial: Trial) -> str:
    """Why the standing recipe is submitted as the reference."""
    return (
        f"Audit: the standing recipe, whose target was never asked ({scores(trial)}). Dev is not believed, so "
        f"without it nothing can be shown to be better."
    )


def audit(trial: Trial, deviation: float, loss: float) -> str:
    """Why the most informative candidate is submitted."""
    return (
        f"Audit: here an answer teaches most. Its target may lie ± {100 * deviation:.1f} points from what its dev "
        f"suggests, and is expected {100 * loss:.1f} points below the best ({scores(trial)})."
    )


def promoted(trial: Trial, gain: Estimate, probability: float, threshold: float) -> str:
    """The promotion of a candidate's recipe."""
    return (
        f"The standing recipe is now that of {label(trial)}: its target is {points(gain)} above the last one's, better "
        f"with a chance of {chance(probability)} (needed: {chance(threshold)})."
    )


def not_promoted(nearest: tuple[Trial, Estimate, float] | None, threshold: float) -> str:
    """Why the standing recipe stays."""
    if nearest is None:
        return "The standing recipe stays: no other candidate has been measured twice or on the target."
    trial, gain, probability = nearest
    return (
        f"The standing recipe stays: the nearest rival, {label(trial)}, is at {points(gain)} against it, better with a "
        f"chance of {chance(probability)} (needed: {chance(threshold)})."
    )


def distrusted(drift: Distrust) -> str:
    """The consequence of a standing drift."""
    where = "over all domains" if drift.scope == "all" else f"in {drift.scope}"
    if drift.direction == "blind":
        return f"Since round {drift.since}, dev {where} misses gains of the target: a low dev speaks against nothing."
    return (
        f"Since round {drift.since}, dev {where} is not believed beyond {100 * drift.level:+.1f} points over the base: "
        f"more of it promotes nothing and chooses nothing."
    )


def closed(end: DeadEnd) -> str:
    """A closed value with its reason."""
    return f"{end.knob}={show(end.value)} is closed: {end.reason}"


def new_best(best: Best, last: Best | None) -> str:
    """The announcement of a new best on the target."""
    if last is None:
        return f"The best on the target so far is {best.candidate} with {percent(best.score)}."
    gain = Estimate(mean=best.score - last.score, sd=math.hypot(best.se, last.se))
    return (
        f"New best on the target: {best.candidate} with {percent(best.score)}, {points(gain)} above {last.candidate}."
    )


def favoured(axis: AxisBelief) -> str:
    """The most probable value of an axis."""
    value, probability = max(zip(axis.values, axis.probabilities, strict=True), key=lambda pair: pair[1])
    if axis.retired:
        return f"{axis.knob} is settled at {show(value)}: no other value is likely to gain another point."
    return f"{axis.knob} leans to {show(value)}: drawn {chance(probability)} times."


def winner(trial: Trial, estimate: Estimate) -> str:
    """Why a candidate is the winner."""
    return (
        f"Highest expected target of all candidates, by everything measured: {percent(estimate.mean)} "
        f"± {100 * estimate.sd:.1f}; {scores(trial)}."
    )


def finished(trial: Trial, base: Scores, best: Scores, gain: Estimate) -> str:
    """The result of a campaign with a winner."""
    significant = abs(gain.mean) > 2 * gain.sd
    verdict = "more than chance explains" if significant else "no more than chance may explain"
    if significant and gain.mean < 0:
        verdict = "a loss that chance does not explain: the target's gain did not carry over"
    return (
        f"{label(trial)} won: on items that were asked once it has {percent(best.score)} right, the base "
        f"{percent(base.score)}; {points(gain)}, {verdict}."
    )


def without_data(round_: int, error: str, seconds: float) -> str:
    """The result of a campaign whose first round has no data."""
    return (
        f"No data could be made for round {round_}: tries failed for {seconds:g} s, the last one with {error}. "
        "Nothing was trained, so the base stays."
    )


def unproven(trial: Trial) -> str:
    """The result of a campaign that ends with the base: nothing beat it, or nothing could be measured."""
    if trial.candidate == BASE:
        return "No candidate is expected to beat the base on the target, so the base stays."
    return f"{label(trial)} or the base could not be measured on the final set, so no gain is shown and the base stays."
