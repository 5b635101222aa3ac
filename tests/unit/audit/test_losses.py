"""What a source loses is counted by reason, and more than a fifth of it is a warning wherever the data is described."""

from audit.narrate import loss_warnings
from schemas.events import DataBatchReady
from schemas.evidence import Basis, Yield


def source(**counts):
    return Yield(source="rows", domain="sums", **counts)


def test_only_unwanted_losses_count():
    part = source(
        made=90,
        kept=60,
        dropped={"verifier/unverified": 10, "balance/cap": 20},
        skipped={"no_answer": 5, "other_domain": 5},
    )
    assert part.losses == {"verifier/unverified": 10, "no_answer": 5}
    assert part.lost_share == 15 / 100


def test_a_source_without_records_has_lost_nothing():
    assert source(made=0, kept=0).lost_share == 0


def ready(*parts: Yield) -> DataBatchReady:
    """A round's data that came from these."""
    ground = Basis(position=0, digest="0" * 64, seed=0)
    about = {"round": 1, "snapshot": "0" * 64, "uri": "memory:", "rows": {"sums": 70}, "tokens": {"sums": 700}}
    return DataBatchReady.model_validate({**about, "yields": parts, "basis": ground})


def test_a_warning_names_source_share_and_reasons():
    bad = source(made=100, kept=70, dropped={"verifier/unverified": 30})
    good = source(made=100, kept=80, dropped={"verifier/unverified": 20})
    assert loss_warnings(ready(bad)) == ["source rows lost 30 % of its records (30 verifier/unverified)"]
    assert loss_warnings(ready(good)) == []
