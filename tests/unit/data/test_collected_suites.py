"""A campaign with suites trains on people's own rows: judged by its scorers, mixed by domain, and all accounted for."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from judgement.fingerprints.extract import Prints
from schemas.campaign import Campaign
from schemas.evidence import Stored
from schemas.policy import Policy
from schemas.recipe import Recipe
from schemas.rows import Row
from schemas.sources import SuiteSource
from services.data.collect.mix import quotas
from services.data.core import plan
from services.data.job import Collecting, DomainEmpty, Snapshot, SnapshotJob
from services.data.snapshot import make
from services.data.sources.source import RoundContext
from services.data.sources.suite_source import SuiteRows
from services.data.sources.suites import Suites
from services.runtime.places import places
from services.runtime.storage.hashing import hash_file, hash_parquet
from services.trainer.rows import read
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed
from tests.harvests import Harvest
from tests.typed import there

GAIN = [(f"Ann has {n} pears and buys {n + 3}. How many pears has she?", str(2 * n + 3), "gain") for n in range(4, 12)]
LOSS = [(f"Ben has {n + 9} coins and loses {n}. How many are left?", "9", "loss") for n in range(4, 12)]
OTHER = [("What is it?", "4", "other")]

SCORER = """
calls = 0

def judge(prompts, completions, answer, unit=None, **columns):
    global calls
    calls += 1
    assert calls == 1, "a step's rows are judged at once"
    pairs = zip(completions, answer, unit)
    return [float(text.endswith(right)) if has_unit else None for text, right, has_unit in pairs]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "tasks").mkdir()
    monkeypatch.setenv("AEVOLVE_TASK_PATH", str(tmp_path / "tasks"))
    monkeypatch.setenv("AEVOLVE_CACHE", str(tmp_path / "cache"))
    write(tmp_path, [*GAIN, *LOSS, *OTHER])
    return tmp_path


def write(folder: Path, rows, name: str = "train.jsonl", **more) -> None:
    records = ({"question": q, "answer": a, "kind": kind, **more} for q, a, kind in rows)
    (folder / "tasks" / name).write_text("".join(json.dumps(record) + "\n" for record in records))


OWN = {
    "kind": "files",
    "name": "own",
    "domain": "gain",
    "domain_column": "kind",
    "domains": ["gain", "loss"],
    "paths": ["train.jsonl"],
}


def campaign(*sources, suite=None, **data) -> Campaign:
    given = {"kind": "files", "name": "maths", "all": "all.jsonl", "score": "numeric", **(suite or {})}
    if given["kind"] != "files":
        given = suite
    return Campaign.model_validate(
        {
            "name": "own-rows",
            "constitution": {
                "suites": [given],
                "evaluation": {kind: {"items": 2} for kind in ("dev", "confirm", "external", "final")},
                "budget": {"external_queries": 2},
                "space": [{"knob": "rank", "values": [8, 16]}],
                "data": {"sources": list(sources or [OWN]), **data},
            },
        }
    )


def job(folder: Path, law: Campaign, round_: int = 1, last: Snapshot | None = None, **at) -> SnapshotJob:
    policy = Policy(version=0, round=round_, standing=Recipe(), standing_from="base", axes=(), mode="x")
    collecting = Collecting(
        work=str(folder / "work" / str(round_)),
        out=str(folder / "harvests"),
        copies=str(folder / "copies"),
        last=last.harvest if last else None,
        **at,
    )
    return SnapshotJob(policy=policy, campaign=law, round=round_, out=str(folder / "snapshots"), collecting=collecting)


def made(folder: Path, law: Campaign, *args, **at) -> Snapshot:
    return make(job(folder, law, *args, **at), lambda _: None)


def rows_of(snapshot: Snapshot) -> list[Row]:
    return [row for cell in read(snapshot.uri).values() for row in cell]


def test_own_rows_of_several_domains_make_a_snapshot_and_no_puzzle_is_drawn(folder):
    snapshot = made(folder, campaign())
    assert snapshot.rows == {"gain": len(GAIN), "loss": len(LOSS)}
    assert hash_parquet(Path(snapshot.uri)) == snapshot.snapshot
    [gave] = snapshot.yields
    assert (gave.made, gave.kept, gave.dropped, gave.skipped) == (16, 16, {}, {"other_domain": 1})
    assert {row.completion(traced=True) for row in rows_of(snapshot) if row.domain == "loss"} == {"9"}
    assert {row.form for row in rows_of(snapshot)} == {"{trace}\n{answer}"}


def test_no_puzzles_are_planned_for_a_campaign_of_suites(folder):
    order = job(folder, campaign())
    assert plan(order.policy, order.campaign, 1).rows == {}


def test_templated_rows_are_all_kept_and_equal_ones_are_not(folder):
    write(folder, [*GAIN, *LOSS, (GAIN[0][0].upper(), GAIN[0][1], "gain"), GAIN[1]])
    [gave] = made(folder, campaign()).yields
    assert (gave.kept, gave.dropped) == (16, {"duplicate/exact": 1, "duplicate/near": 1})


def test_a_wrong_answer_is_dropped_by_the_suites_scorer(folder):
    write(folder, [*GAIN, *LOSS], "train.jsonl", text_="It is 5")
    wrong = {**OWN, "completion": "text_", "prompt": "question", "answer": "answer"}
    with pytest.raises(DomainEmpty, match=r"no row is left of source own, domain gain, domain loss \(own: 16 dropped"):
        made(folder, campaign(wrong))
    shutil.rmtree(folder / "work")
    unjudged = made(folder, campaign({**wrong, "verifier": "none"}))
    assert unjudged.rows == {"gain": 8, "loss": 8}
    assert {row.completion(traced=False) for row in rows_of(unjudged)} == {"It is 5"}


def test_a_users_scorer_judges_a_steps_rows_at_once_with_their_columns(folder):
    (folder / "tasks" / "mine.py").write_text(SCORER)
    write(folder, [*GAIN, ("Not judged?", "1", "gain"), *LOSS], unit="pears")
    snapshot = made(folder, campaign(suite={"score": "mine.py:judge"}))
    assert snapshot.rows == {"gain": 9, "loss": 8}
    assert {json.loads(row.columns)["unit"] for row in rows_of(snapshot)} == {"pears"}


def test_a_scorer_that_raises_fails_the_job_by_name(folder):
    (folder / "tasks" / "mine.py").write_text("def judge(prompts, completions, **columns):\n    return 1 / 0\n")
    with pytest.raises(UserCodeFailed, match=r"ZeroDivisionError: .*\(mine.py:2\)"):
        made(folder, campaign(suite={"score": "mine.py:judge"}))


def test_a_scorer_that_has_changed_fails_the_job_by_name(folder):
    (folder / "tasks" / "mine.py").write_text(SCORER)
    score = {"kind": "mine.py:judge", "sha256": "0" * 64}
    with pytest.raises(ItemsChanged, match=r"mine\.py:judge has hash"):
        made(folder, campaign(suite={"score": score}))


def test_an_unknown_suite_of_a_source_is_named(folder):
    with pytest.raises(SuiteRefused, match=r"own: suite 'mats' is none of maths; correct it"):
        made(folder, campaign({**OWN, "suite": "mats"}))


def test_a_source_without_a_row_is_named_with_its_counts_and_read_again_when_corrected(folder):
    (folder / "tasks" / "empty.jsonl").write_text('{"question": "1?", "answer": null}\n{oops\n')
    empty = {"kind": "files", "name": "empty", "domain": "gain", "paths": ["empty.jsonl"]}
    law = campaign(OWN, empty)
    with pytest.raises(DomainEmpty) as raised:
        made(folder, law)
    assert "no row is left of source empty (empty: " in str(raised.value)
    assert "1 skipped no_answer" in str(raised.value)
    assert "1 skipped not_json" in str(raised.value)
    (folder / "tasks" / "empty.jsonl").write_text('{"question": "What is 1?", "answer": "1"}\n')
    assert made(folder, law).rows == {"gain": 9, "loss": 8}


def test_a_domain_without_a_row_is_named(folder):
    with pytest.raises(DomainEmpty, match=r"no row is left of domain share \(own: 1 skipped other_domain\)"):
        made(folder, campaign({**OWN, "domains": ["gain", "loss", "share"]}))


def test_a_cap_holds_over_all_domains_of_a_source(folder):
    snapshot = made(folder, campaign({**OWN, "cap": 6}))
    assert snapshot.rows == {"gain": 3, "loss": 3}
    [gave] = snapshot.yields
    assert (gave.made, gave.kept, gave.dropped) == (16, 6, {"balance/cap": 10})


def test_the_mix_splits_the_rows_of_one_source_over_its_domains(folder):
    order = job(folder, campaign(rows=8))
    policy = order.policy.model_copy(update={"standing": Recipe(mix={"gain": 3.0, "loss": 1.0})})
    assert make(order.model_copy(update={"policy": policy}), lambda _: None).rows == {"gain": 6, "loss": 2}


def test_a_small_share_is_a_row_while_there_is_room():
    domains = list("abcdefg")
    assert sum(quotas(dict.fromkeys(domains, 9), dict.fromkeys(domains, 1 / 7), 6).values()) == 6
    assert quotas({"a": 99, "b": 99, "c": 99}, {"a": 0.98, "b": 0.01, "c": 0.01}, 10) == {"a": 8, "b": 1, "c": 1}


def test_evaluation_items_are_dropped_and_other_rows_of_their_template_are_kept(folder):
    prints = Prints()
    for question, answer, _ in GAIN[:2]:
        prints.question(question, answer)
    prints.documents([f"{question} {answer}" for question, answer, _ in LOSS[:1]], questions=True)
    file = folder / "prints.npz"
    file.write_bytes(prints.fingerprints(7).to_bytes())
    law = campaign(filters={"near_duplicate": 1.0})
    snapshot = made(folder, law, fingerprints=Stored(uri=str(file), sha256=hash_file(file)))
    [gave] = snapshot.yields
    assert gave.dropped == {"decontamination/question": 2, "decontamination/document": 1}
    assert {row.prompt for row in rows_of(snapshot)} == {q for q, _, _ in [*GAIN[2:], *LOSS[1:]]}


def test_the_card_shows_up_to_five_dropped_rows_of_a_reason_without_personal_data(folder):
    wrong = [(f"Who is number {n}? Ask jane.doe@mail.example.org | {'x' * 200}", "5", "gain") for n in range(7)]
    records = [{"question": q, "answer": a, "kind": k, "completion": "It is 4."} for q, a, k in wrong]
    good = [{"question": q, "answer": a, "kind": k, "completion": f"It is {a}."} for q, a, k in [*GAIN, *LOSS]]
    (folder / "tasks" / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*records, *good]))
    snapshot = made(folder, campaign())
    card = Path(there(snapshot.card).uri).read_text()
    shown = re.findall(
        r"^\| own \| verifier/unverified \| Who is number (\d)\? Ask \\\[email\\\] .*$", card, re.MULTILINE
    )
    assert shown == list("01234")
    assert "jane.doe" not in card
    assert "**Warning:** 7 of 23 records of own (30%) gave no row." in card
    assert "the scorers of the suites maths must accept them" in card


# --- The source of a suite's own training rows ------------------------------------------------------


def suite_rows(folder: Path, harvest: Harvest, round_: int, **more) -> Harvest:
    spec = SuiteSource(name="drawn", domain="gain", domains=("gain", "loss"), suite="maths", **more)
    law = campaign(spec.model_dump(mode="json"), suite={"columns": {"domain": "kind"}})
    with places() as here:
        return harvest.go_on(SuiteRows(spec, RoundContext(round_, 7, suites=Suites(law.constitution, here))))


def test_a_suites_training_rows_are_given_once_over_all_rounds_the_domains_by_turns(folder):
    many = [(f"What is {n} and {n}?", str(2 * n), kind) for n in range(60) for kind in ("gain", "loss", "other")]
    write(folder, many, "all.jsonl")
    harvest = Harvest()
    for round_ in range(1, 5):
        suite_rows(folder, harvest, round_, rows_per_round=12)
        suite_rows(folder, harvest, round_, rows_per_round=12)  # a round that is complete gives nothing more
    drawn = [(row.domain, row.core) for row in harvest.rows]
    assert len(set(drawn)) == len(drawn) == 48 - harvest.skipped["other_domain"]
    assert {row.domain for row in harvest.rows[:8]} == {"gain", "loss"}
    assert harvest.skipped["other_domain"] > 0
    assert {row.completion(traced=True) for row in harvest.rows} <= {str(2 * n) for n in range(60)}


def test_a_killed_round_gives_the_same_rows(folder, monkeypatch):
    monkeypatch.setattr("services.data.sources.source.STEP_ROWS", 3)
    write(folder, [(f"What is {n}?", str(n), "gain") for n in range(60)], "all.jsonl")
    calm, killed = Harvest(), Harvest()
    suite_rows(folder, calm, 1, rows_per_round=10)
    for steps in (1, 0, 1, None):
        spec = SuiteSource(name="drawn", domain="gain", domains=("gain", "loss"), suite="maths", rows_per_round=10)
        law = campaign(spec.model_dump(mode="json"), suite={"columns": {"domain": "kind"}})
        with places() as here:
            killed.go_on(SuiteRows(spec, RoundContext(1, 7, suites=Suites(law.constitution, here))), steps)
    assert killed.rows == calm.rows


def test_a_worked_text_that_ends_with_its_answer_is_taught_as_it_stands(folder):
    records = [{"question": f"{n}+1?", "answer": str(n + 1), "trace": f"{n}+1\n#### {n + 1}"} for n in range(30)]
    (folder / "tasks" / "all.jsonl").write_text("".join(json.dumps({**r, "kind": "gain"}) + "\n" for r in records))
    rows = suite_rows(folder, Harvest(), 1).rows
    assert rows
    assert all(row.completion(traced=False) == row.trace for row in rows)


def test_a_suite_of_evaluation_items_alone_has_no_training_rows(folder):
    write(folder, GAIN, "dev.jsonl")
    law = campaign(
        {"kind": "suite", "name": "drawn", "domain": "gain", "suite": "maths"},
        suite={"all": None, "dev": "dev.jsonl", "target": "dev.jsonl"},
    )
    with pytest.raises(SuiteRefused, match="the suite maths has no training rows; give it a file `all`"):
        made(folder, law)


def test_training_rows_are_drawn_where_the_evaluation_files_cannot_be_read(folder):
    write(folder, [(f"What is {n}?", str(n), "gain") for n in range(60)], "all.jsonl")
    law = campaign(
        {"kind": "suite", "name": "drawn", "domain": "gain", "suite": "maths"},
        suite={"dev": "only/the/oracle.jsonl", "columns": {"domain": "kind"}},
    )
    assert made(folder, law).rows["gain"] > 0


def test_a_suite_of_puzzles_trains_on_its_own_boxed_rows(folder):
    law = campaign(
        {"kind": "suite", "name": "drawn", "domain": "roman", "domains": ["roman", "units"], "rows_per_round": 60},
        suite={"kind": "puzzles", "name": "puzzles", "domains": ["roman", "units"]},
    )
    snapshot = made(folder, law)
    assert snapshot.rows.keys() == {"roman", "units"}
    assert all(f"\\boxed{{{row.answer}}}" in row.completion(traced=True) for row in rows_of(snapshot))
    [gave] = snapshot.yields
    assert gave.dropped.keys() <= {"duplicate/near", "duplicate/exact"}


def test_a_set_of_the_hub_may_lie_in_a_task_folder(folder):
    (folder / "tasks" / "set").mkdir()
    write(folder, [*GAIN, *LOSS], "set/a.jsonl")
    hub = {key: value for key, value in OWN.items() if key != "paths"} | {"kind": "hub", "dataset": "set"}
    assert made(folder, campaign(hub)).rows == {"gain": 8, "loss": 8}
