"""The texts of the drift test with their numbers, for a reader without the code or the statistics."""

from __future__ import annotations

from schemas.evidence import Calibration, Contrast, GapTest, ScopeAssessment


def assessed(
    bayes_factor: float,
    threshold: float,
    calibration: Calibration,
    gap: GapTest | None,
    candidates: int,
) -> str:
    """One paragraph on a whole assessment; its scopes have a text each."""
    if not candidates:
        return "No candidate has both a dev and a target score yet, so nothing can be said about drift."
    measured = f"{candidates} candidate{'s' * (candidates > 1)} measured on both sets"
    slope = calibration.slope
    trend = (
        f"With {measured}, one point of dev has been worth {slope.mean:.2f} (give or take {slope.sd:.2f}) points of "
        "the target where dev can be trusted."
    )
    verdict = (
        f"That dev misleads somewhere is {_odds(bayes_factor)} by the scores; an alarm needs {threshold:g} times."
        if bayes_factor >= 1
        else "The scores speak for dev tracking the target everywhere."
    )
    return " ".join([trend, verdict, _gap_test(gap)]).strip()


def detected(scope: ScopeAssessment, threshold: float) -> str:
    """One paragraph on one detected drift."""
    consequence = (
        f"From now on a dev gain {_where(scope)} of more than {points(scope.level)} over the base is no evidence."
        if scope.direction == "inflated"
        else f"From now on a low dev {_where(scope)} speaks against nothing; only target scores and what is known of "
        "the changes themselves count beyond what dev shows."
    )
    weight = f"The scores make this {_odds(scope.bayes_factor)}; the threshold was {threshold:g}."
    return f"{_finding(scope)} {weight} {consequence}"


def cleared(scope: ScopeAssessment, limit: float, rounds: int) -> str:
    """One paragraph on a drift that the evidence no longer supports."""
    return (
        f"Dev {_where(scope)} counts again: for {rounds} assessment{'s' * (rounds > 1)} in a row the evidence for "
        f"drift was below {limit:g} (now a Bayes factor of {scope.bayes_factor:.3g})."
    )


def points(share: float) -> str:
    """A share of 1 as points of 100."""
    return f"{100 * share:.1f} points"


def _finding(scope: ScopeAssessment) -> str:
    pair = _contrast(scope)
    if scope.direction == "blind":
        return f"Dev is blind {_where(scope)}: the target moved with the recipe in ways that dev does not show. {pair}"
    beyond = (
        f"each further point of dev brought {scope.slope.mean:+.2f} (give or take {scope.slope.sd:.2f}) of the target"
    )
    if scope.level == 0.0:
        return f"Dev is empty {_where(scope)}: what it gains over the base says nothing; {beyond}. {pair}"
    return f"Dev is inflated {_where(scope)}: beyond {points(scope.level)} over the base, {beyond}. {pair}"


def _contrast(scope: ScopeAssessment) -> str:
    """The two candidates that a reader can check by eye: the best on dev, and the best on the target."""
    if scope.highest_dev is None or scope.highest_target is None:
        return ""
    if scope.highest_dev == scope.highest_target:
        return f"Against the base, {_gains(scope.highest_dev)} has the highest of both."
    return (
        f"Against the base, {_gains(scope.highest_dev)} has the highest dev; "
        f"{_gains(scope.highest_target)} the highest target."
    )


def _gains(shown: Contrast) -> str:
    return f"{shown.candidate} (dev {100 * shown.dev:+.1f} points, target {100 * shown.target:+.1f})"


def _where(scope: ScopeAssessment) -> str:
    return "over all domains" if scope.scope == "all" else f"in {scope.scope}"


def _odds(bayes_factor: float) -> str:
    return (
        f"{bayes_factor:,.3g} times likelier than not"
        if bayes_factor < 1e9
        else "over a billion times likelier than not"
    )


def _gap_test(gap: GapTest | None) -> str:
    if gap is None:
        return ""
    verdict = "agrees" if gap.fires else "does not see it"
    return f"A plain test of whether dev ran ahead of the target ({gap.candidate}, z = {gap.z:.2f}) {verdict}."
