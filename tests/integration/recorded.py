"""A campaign of two rounds on scores that were measured on a real tiny model (60 items in each domain and set).

Narrow worked traces reach the highest dev; diverse ones the highest target. Of round 2 only dev is known, and a
confirmation of the candidate that leads on it.
"""

from judgement.decisions import first_policy
from schemas import events as e
from schemas.evidence import Basis
from schemas.recipe import Recipe, differences
from schemas.scores import BASE
from tests.unit.loopworld import Log, campaign, data_ready, report, reserved, scores_of, started, trained

N = 60
TERSE, DIVERSE = (1.0, 0.0, 0.0), (0.35, 0.5, 0.15)
EVEN = (1.0, 1.0, 1.0)

DEV = {
    BASE: (10, 3, 58, 10, 38, 32),
    "r1s0": (48, 7, 78, 17, 0, 98),
    "r1s1": (35, 2, 80, 98, 100, 58),
    "r1s2": (27, 3, 100, 13, 0, 32),
    "r1s3": (27, 2, 58, 83, 100, 13),
    "r2s0": (46, 5, 80, 15, 2, 97),
    "r2s1": (37, 8, 100, 100, 100, 87),
    "r2s2": (18, 5, 58, 90, 100, 22),
}
"""Percent right on dev in each domain."""

TARGET = {
    BASE: (8, 2, 68, 3, 8, 10),
    "r1s0": (8, 0, 48, 15, 5, 12),
    "r1s1": (3, 2, 57, 33, 22, 7),
    "r1s2": (18, 5, 83, 2, 7, 17),
    "r1s3": (15, 3, 72, 32, 17, 7),
}
"""Percent right on the target, where it was asked."""

ANCHOR = Recipe(steps=250)
RECIPES = {
    "r1s0": ANCHOR,
    "r1s1": ANCHOR.replace("traces", 1.0),
    "r1s2": ANCHOR.replace("difficulty", DIVERSE).replace("wordings", EVEN),
    "r1s3": ANCHOR.replace("traces", 1.0).replace("difficulty", DIVERSE).replace("wordings", EVEN),
    "r2s0": ANCHOR,
    "r2s1": ANCHOR.replace("traces", 1.0).replace("steps", 500),
    "r2s2": ANCHOR.replace("traces", 1.0)
    .replace("steps", 500)
    .replace("difficulty", DIVERSE)
    .replace("wordings", EVEN),
}


def scores(percent):
    return scores_of((round(p * N / 100) for p in percent), N)


def played(seed=0, drift=None, asked=("r1s1", "r1s3"), confirmed=()):
    """The history of the recorded campaign; `drift` is appended after round 1, where it is given.

    `asked` were measured on the target in round 1, `confirmed` on fresh dev items in round 2.
    """
    log = Log()
    of = campaign(seed, candidates=4, max_changes=4).model_copy(update={"recipe": ANCHOR})
    log.append(started(of))
    log.append(report(BASE, "dev", scores(DEV[BASE])), reserved(log.history, BASE, "external", 0))
    log.append(report(BASE, "external", scores(TARGET[BASE])), first_policy(log.history))
    _round(log, 1)
    for name in asked:
        log.append(report(name, "confirm", scores(DEV[name])), reserved(log.history, name, "external", 1))
        log.append(report(name, "external", scores(TARGET[name])))
    log.append(*([drift] if drift else []), _second_policy(log.history))
    _round(log, 2)
    log.append(*(report(name, "confirm", scores(DEV[name])) for name in confirmed))
    return log.history


def _second_policy(history):
    policy = history.policy.model_copy(update={"version": 1, "round": 2})
    basis = Basis(position=0, digest="0" * 64, seed=0)
    return e.PolicyUpdated(policy=policy, changed=(), why="recorded", basis=basis)


def _round(log, round_):
    log.append(data_ready(round_))
    names = [name for name in RECIPES if name.startswith(f"r{round_}")]
    for slot, name in enumerate(names):
        log.append(_proposed(log.history, name, slot), trained(name, RECIPES[name]))
        log.append(report(name, "dev", scores(DEV[name])))


def _proposed(history, name, slot):
    knobs = tuple(axis.knob for axis in history.campaign.constitution.space)
    changes = differences(ANCHOR, RECIPES[name], knobs)
    return e.RecipeProposed(
        round=history.round,
        slot=slot,
        candidate=name,
        recipe=RECIPES[name],
        changes=changes,
        intervention=" + ".join(change.name for change in changes) or "anchor",
        predicted={"mean": 0.0, "sd": 0.1},
        compute=1.0,
        snapshot="0" * 64,
        seed=slot,
        basis=Basis(position=0, digest="0" * 64, seed=0),
    )
