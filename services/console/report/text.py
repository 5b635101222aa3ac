"""The report in plain words: what was tried, what it brought, where dev misled, and what the loop changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.scores import BASE

Data = Mapping[str, Any]

GLOSSARY = "\n\nTerms: the glossary, at `/glossary` of `aevolve console` and in `docs/reference/glossary.md`.\n"


def markdown(report: Data) -> str:
    """`report.md` from the data of `report.json`."""
    sections = (
        _head(report),
        _rounds(report),
        _data(report),
        _drift(report),
        _phenomenon(report),
        _policies(report),
        _cost(report),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section))) + GLOSSARY


def percent(score: Data | None) -> str:
    """A score with its standard error, in percent."""
    return f"{100 * score['score']:.1f} ± {100 * score['se']:.1f}" if score else "-"


def points(value: float) -> str:
    """A difference of scores in percentage points."""
    return f"{100 * value:+.1f}"


def _head(report: Data) -> Iterator[str]:
    base, winner = report["base"], report["winner"]
    yield f"# Campaign {report['campaign']}"
    yield ""
    if report["null_twin"]:
        yield "This is a null twin: the target is distributed as dev, so no drift may be found.\n"
    if not report["finished"]:
        yield "The campaign is not finished; this is where it stands.\n"
    if report["gain"]:
        trained = f"{_outcome(winner['candidate'], report['gain'])}\n\n" if report["rounds"] else ""
        yield f"{trained}{report['why']}\n"
    yield "| score in % | dev | confirm | target | final |"
    yield "|---|---|---|---|---|"
    yield _row("base", base)
    if winner:
        yield _row(("winner " if report["finished"] else "standing ") + winner["candidate"], winner)


def _outcome(winner: str, gain: Data) -> str:
    """Who won by how much; a gain within two standard deviations is not called one."""
    amount = f"**{points(gain['mean'])} points** (standard deviation {100 * gain['sd']:.1f})"
    if winner == BASE:
        return "**No candidate is better than the base.**"
    if gain["mean"] <= 0:
        return f"**No candidate beats the base on the final set**, which was asked once: {winner}, {amount}."
    if gain["mean"] <= 2 * gain["sd"]:
        return f"**{winner}** is ahead of the base on the final set, which was asked once, but within chance: {amount}."
    return f"**{winner}** beats the base on the final set, which was asked once, by {amount}."


def _row(name: str, scores: Data) -> str:
    return f"| {name} | " + " | ".join(percent(scores[k]) for k in ("dev", "confirm", "external", "final")) + " |"


def _rounds(report: Data) -> Iterator[str]:
    if not report["rounds"]:
        return
    yield "## Candidates"
    yield ""
    yield "| candidate | change against the standing recipe | state | dev | target |"
    yield "|---|---|---|---|---|"
    for round_ in report["rounds"]:
        for c in round_["candidates"]:
            changes = ", ".join(change["name"] for change in c["changes"]) or "none (anchor)"
            yield f"| {c['candidate']} | {changes} | {c['state']} | {percent(c['dev'])} | {percent(c['external'])} |"


def _drift(report: Data) -> Iterator[str]:
    assessed = [r for r in report["rounds"] if r["drift"]["assessed"]]
    if not assessed:
        return
    yield "## Does dev still track the target?"
    yield ""
    for round_ in assessed:
        yield from _assessed(round_["round"], **round_["drift"])


def _assessed(round_: int, assessed: Data, detected: Sequence[Data], cleared: Sequence[Data]) -> Iterator[str]:
    """One round: the verdict in words, and for each finding the two candidates that show it."""
    yield f"**Round {round_}.** {assessed['words']}"
    yield ""
    new = {finding["assessment"]["scope"] for finding in detected}
    drifted = [scope for scope in assessed["scopes"] if scope["bayes_factor"] >= assessed["threshold"]]
    if drifted:
        yield "| dev is | where | evidence | highest dev | highest target | |"
        yield "|---|---|---|---|---|---|"
        yield from (_finding(scope, new) for scope in drifted)
        yield ""
    for gone in cleared:
        yield f"Cleared: {gone['words']}\n"


def _finding(scope: Data, new: set[str]) -> str:
    shown = (scope["direction"], scope["scope"], f"{scope['bayes_factor']:.3g} to 1")
    both = (_contrast(scope["highest_dev"]), _contrast(scope["highest_target"]))
    return f"| {' | '.join((*shown, *both))} | {'**declared now**' if scope['scope'] in new else ''} |"


def _contrast(shown: Data | None) -> str:
    return f"{shown['candidate']}: dev {points(shown['dev'])}, target {points(shown['target'])}" if shown else "-"


def _data(report: Data) -> Iterator[str]:
    """Sources whose records were lost, in the last round with data of its own."""
    rounds = [r["data"] for r in report["rounds"] if r["data"] and not r["data"]["reused"]]
    lost = [source for source in rounds[-1]["sources"] if source["losses"]] if rounds else []
    if not lost:
        return
    yield "## Records that gave no row"
    yield ""
    yield "| source | kept | lost | reasons |"
    yield "|---|---|---|---|"
    for source in lost:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in source["losses"].items())
        yield f"| {source['source']} | {source['kept']:,} | {100 * source['lost_share']:.1f} % | {reasons} |"
    yield from (f"\n**Warning:** {text}." for text in rounds[-1]["warnings"])


def _phenomenon(report: Data) -> Iterator[str]:
    best = report["phenomenon"]
    if not best:
        return
    yield "## Best on dev, best on the target"
    yield ""
    among = f"Of the {best['candidates']} candidates measured on both"
    if best["best_dev"] == best["best_external"]:
        yield f"{among}, {best['best_dev']} is best on dev and on the target."
        return
    external, dev = best["external"], best["dev"]
    yield f"{among}, {best['best_dev']} has the highest dev and {best['best_external']} the highest target score."
    yield (
        f"Against {best['best_dev']}, {best['best_external']} is {points(external['difference'])} points on the target "
        f"({external['z']:.1f} standard errors) and {points(dev['difference'])} on dev ({dev['z']:.1f})."
    )


def _policies(report: Data) -> Iterator[str]:
    changed = [r for r in report["rounds"] if r["policy"]]
    if not changed:
        return
    yield "## What the loop changed"
    for round_ in changed:
        policy = round_["policy"]
        search = f"(search: {policy['mode']}; standing recipe from {policy['standing']})"
        yield f"\nAfter round {round_['round']} {search}: {policy['why']}\n"
        yield from (f"- {sentence}" for sentence in policy["changed"])


def _cost(report: Data) -> Iterator[str]:
    s, cost = report["seconds"], report["cost"]
    yield "## Cost"
    yield ""
    yield (
        f"{s['wall']:.0f} s on the wall, {s['other']:.0f} s of it without any work. The base took {s['base']:.0f} s; "
        f"jobs, which run side by side, {s['train']:.0f} s of training and {s['evaluate']:.0f} s of evaluation."
    )
    yield (
        f"{cost['tokens']:,} tokens, {cost['device_seconds']:.0f} processor or accelerator seconds, "
        f"{report['external_queries']} target queries. Failed and repeated work is included."
    )
    if lost := cost["lost_seconds"]:
        yield f"Workers that died without a word held their jobs for {lost:.0f} s at most; what they took is not known."
