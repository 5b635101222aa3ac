"""On a host whose stamp is not that of the base's scores, the base is measured too, and no query is spent (rule 4).

Dev and confirmations taken here are moved by what the base scores here (`judgement.stamp_correction`). A query of
the target or of the final set, and the guards, would be charged and compared with nothing: they are left to a host
like the base's.
"""

from __future__ import annotations

from schemas.base import digest
from schemas.scores import BASE, Stamp
from services.oracle.job import EvaluationJob, ListedSet, OtherStamp

FREE = ("dev", "confirm")
"""Sets that cost no query."""


def base_measurement(job: EvaluationJob, own: Stamp) -> EvaluationJob | None:
    """The job that measures the base under this stamp; None if the stamp is the base's own or was measured before.

    Raises `OtherStamp` where the job would spend a query, or measure guards, under another stamp than the base's.
    """
    if job.reference is None:
        return None
    dev = job.reference.dev
    if isinstance(dev, ListedSet):
        own = _of_list(own, job.reference.stamp)
    if own == job.reference.stamp:
        return None
    kinds = [*(one.kind for one in job.sets), *(one.kind for one in job.lists), *(["guards"] if job.guards else [])]
    if dear := [kind for kind in kinds if kind not in FREE]:
        raise OtherStamp(
            f"{' and '.join(dear)}: this host measures with {_difference(own, job.reference.stamp)}; run an oracle "
            "like the one that measured the base, or raise budget.attempts so that such a one gets the job"
        )
    if digest(own) in job.reference.known:
        return None
    sets = {"sets": (), "lists": (dev,)} if isinstance(dev, ListedSet) else {"sets": (dev,), "lists": ()}
    nothing = {"adapter": None, "sha256": None, "guards": (), "reference": None}
    return job.model_copy(update={"candidate": BASE, **sets, **nothing})


def _of_list(own: Stamp, base: Stamp) -> Stamp:
    """This host's stamp for a dev that is a list of tasks: what its tasks add is known only once they are measured."""
    same_harness = base.harness.partition(";")[0] == own.harness.partition(",")[0]
    update = {"template_sha256": base.template_sha256, **({"harness": base.harness} if same_harness else {})}
    return own.model_copy(update=update)


def _difference(own: Stamp, base: Stamp) -> str:
    pairs = ((name, getattr(own, name), getattr(base, name)) for name in Stamp.model_fields)
    return ", ".join(f"{name} {here!r} (the base with {there!r})" for name, here, there in pairs if here != there)
