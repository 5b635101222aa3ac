"""What is wrong with suites is said at the start, by field, value and remedy; a good campaign records its items."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.base import digest
from schemas.campaign import Campaign
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.check import pinned
from tasks.item import Item
from tasks.suite import SuiteRefused

SIZES = {"dev": 6, "confirm": 2, "external": 6, "final": 6}


def rows(n, start=0, domain=None, answer=str):
    return [
        {"question": f"What is {i} + 1?", "answer": answer(i + 1), **({"domain": domain} if domain else {})}
        for i in range(start, start + n)
    ]


def write(path: Path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def campaign(suite=None, suites=None, **changes):
    suite = {"kind": "files", "name": "sums", "eval": "eval.jsonl", "score": "numeric", **(suite or {})}
    law = {
        "suites": suites or [suite],
        "data": {"sources": [{"kind": "files", "name": "train", "paths": ["train.jsonl"], "domain": "sums"}]},
        "rounds": 2,
        "evaluation": {kind: {"items": n} for kind, n in SIZES.items()},
        "budget": {"external_queries": 3},
        "space": [{"knob": "lr", "values": [1e-4, 1e-3], "scale": "log"}],
        **changes,
    }
    return Campaign.model_validate({"name": "own", "constitution": law})


@pytest.fixture
def check(tmp_path):
    def run(described, training=None):
        with places(Settings(task_path=str(tmp_path))) as opened:
            return pinned(described, opened, training)

    return run


def test_a_good_campaign_records_hash_sizes_and_domains(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60, domain="easy") + rows(60, 500, domain="hard"))
    checked = check(campaign())
    pin = checked.campaign.constitution.suites[0].pin
    assert checked.campaign.constitution.domains == ("easy", "hard")
    assert {kind: sum(pool.values()) for kind, pool in pin.sets.items()}.keys() == SIZES.keys()
    assert sum(n for pool in pin.sets.values() for n in pool.values()) == 120
    assert any("enough for" in note for note in checked.notes)
    again = Campaign.model_validate_json(checked.campaign.model_dump_json())
    assert digest(again.constitution) == digest(checked.campaign.constitution)


def test_another_file_has_another_hash(check, tmp_path):
    hashes = set()
    for n in (70, 71):
        write(tmp_path / "eval.jsonl", rows(n))
        hashes.add(check(campaign()).campaign.constitution.suites[0].pin.sha256)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("suite", "records", "words"),
    [
        ({}, rows(8), ["dev has", "evaluation.dev.items"]),
        ({"score": []}, rows(60), ["suites.sums.score: missing"]),
        ({"score": "numerik"}, rows(60), ["suites.score: 'numerik' is not known", "numeric"]),
        ({"score": {"kind": "numeric", "tollerance": 1}}, rows(60), ["suites.sums.score: numeric", "tollerance"]),
        ({"score": "numeric"}, rows(60, answer=lambda i: f"no number {'x' * i}"), ["none of", "own answers"]),
        ({"columns": {"answer": "solution"}}, rows(60), ["no column 'solution'", "question, answer"]),
        ({"eval": "nothing.jsonl"}, rows(60), ["'nothing.jsonl' does not exist"]),
        ({"eval": None}, rows(60), ["it names no file"]),
        ({"eval": None, "dev": "eval.jsonl"}, rows(60), ["no suite has items of target"]),
        ({"score": "score.py:judge"}, rows(60), ["score.py' does not exist"]),
    ],
)
def test_a_mistake_is_named_with_its_remedy(check, tmp_path, suite, records, words):
    write(tmp_path / "eval.jsonl", records)
    with pytest.raises(SuiteRefused) as refused:
        check(campaign(suite))
    for word in words:
        assert word in str(refused.value)


def test_confirm_needs_fresh_items_for_the_base_and_every_round(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60))
    evaluation = {kind: {"items": 8 if kind == "confirm" else 6} for kind in SIZES}
    with pytest.raises(SuiteRefused, match=r"confirm has \d+ .* 8 for the base and each of 2 rounds are needed \(24\)"):
        check(campaign(evaluation=evaluation))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def judge(prompts, completions, **c):\n    raise KeyError('x')", ["KeyError", "score.py:2"]),
        ("def judge(prompts, completions, **c):\n    return [1.0]", ["score.py:judge"]),
        ("def judge(prompts, completions, **c):\n    return [float('nan')] * len(prompts)", ["score.py:judge"]),
        ("def judge(prompts, completions, **c):\n    return [1.5] * len(prompts)", ["1.5"]),
        ("def other(**c):\n    return []", ["no function judge", "other"]),
        ("import nothing_of_this_name", ["ModuleNotFoundError", "nothing_of_this_name"]),
    ],
)
def test_a_scorer_of_the_user_that_fails_is_named(check, tmp_path, body, words):
    write(tmp_path / "eval.jsonl", rows(60))
    (tmp_path / "score.py").write_text(body)
    with pytest.raises(SuiteRefused) as refused:
        check(campaign({"score": "score.py:judge"}))
    for word in ("suites.sums.score", *words):
        assert word in str(refused.value)


def test_the_code_of_a_scorer_is_recorded(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60))
    (tmp_path / "score.py").write_text("def judge(prompts, completions, **c):\n    return [1.0] * len(prompts)")
    (scorer,) = check(campaign({"score": "score.py:judge"})).campaign.constitution.suites[0].score
    assert scorer.sha256


def item(prompt):
    return Item("sums", 0, 0, prompt, "1", "", prompt)


def test_training_rows_among_the_evaluation_items_are_refused_or_announced(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60))
    training = {"train": [item("What is  5 + 1?"), item("What is 1000 + 1?")]}
    with pytest.raises(SuiteRefused, match=r"data.sources.train: 1 of 2 rows are evaluation items .*overlap: drop"):
        check(campaign(), training)
    assert any("1 rows are evaluation items" in note for note in check(campaign({"overlap": "drop"}), training).notes)


def test_an_item_of_two_sets_is_refused(check, tmp_path):
    write(tmp_path / "dev.jsonl", rows(60))
    write(tmp_path / "target.jsonl", rows(60, 59))
    with pytest.raises(SuiteRefused, match=r"an item is in (dev|confirm) and in (target|final): 'What is 59 \+ 1\?'"):
        check(campaign({"eval": None, "dev": "dev.jsonl", "target": "target.jsonl"}))


def test_domains_of_the_file_must_be_devs(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60))
    with pytest.raises(SuiteRefused, match="domains: bits; dev has sums"):
        check(campaign(domains=["bits"]))


def test_knobs_of_puzzles_are_refused_where_nothing_is_graded(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60))
    evaluation: dict[str, Any] = {kind: {"items": n} for kind, n in SIZES.items()}
    evaluation["dev"]["difficulty"] = [0, 1, 0]
    with pytest.raises(SuiteRefused, match=r"evaluation.dev.difficulty: only puzzles are graded"):
        check(campaign(evaluation=evaluation))


def test_a_null_twin_takes_its_target_from_devs_file(check, tmp_path):
    write(tmp_path / "dev.jsonl", rows(120))
    write(tmp_path / "target.jsonl", rows(60, 500, domain="hard"))
    described = campaign({"eval": None, "dev": "dev.jsonl", "target": "target.jsonl"})
    twin = check(described.model_copy(update={"null_twin": True})).campaign.constitution
    assert twin.domains_of("external") == twin.domains_of("dev") == ("sums",)
    assert check(described).campaign.constitution.domains_of("external") == ("hard",)


def test_two_suites_need_domains_of_their_own(check, tmp_path):
    write(tmp_path / "eval.jsonl", rows(60, domain="same"))
    suites = [{"kind": "files", "name": name, "eval": "eval.jsonl", "score": "exact"} for name in ("a", "b")]
    with pytest.raises(SuiteRefused, match="a and b both have the dev domain 'same'"):
        check(campaign(suites=suites))


def test_a_suite_whose_rows_change_from_call_to_call_is_refused(check, tmp_path):
    (tmp_path / "suite.py").write_text(
        "import itertools\ncount = itertools.count()\n"
        "def rows(split, seed, n):\n    return [{'prompt': f'{next(count)}?'} for _ in range(n)]\n"
        "def score(prompts, completions, **c):\n    return [0.0] * len(prompts)\n"
    )
    with pytest.raises(SuiteRefused, match="gave other rows the second time"):
        check(campaign(suites=[{"kind": "python", "name": "own", "file": "suite.py"}]))


def trained_and_measured(*tasks):
    """A suite of reasoning-gym, and a source of these data sets beside it."""
    source = {"kind": "gym", "name": "more", "domain": "sums", "tasks": tasks}
    suite = {
        "kind": "gym",
        "name": "gym",
        "tasks": ["chain_sum", {"task": "leg_counting", "target": {"max_animals": 9}}],
    }
    return campaign(suites=[suite], data={"sources": [source]})


def test_a_data_set_of_reasoning_gym_is_not_trained_on_by_a_source_and_measured_by_a_suite(check):
    pytest.importorskip("reasoning_gym")
    with pytest.raises(SuiteRefused) as refused:
        check(trained_and_measured("leg_counting", "basic_arithmetic", "chain_sum"))
    first, second = str(refused.value).splitlines()
    assert first.startswith("data.sources.more.tasks: leg_counting is measured by suites.gym, whose questions")
    assert "kind: suite, suite: gym" in first
    assert "chain_sum" in second
    assert check(trained_and_measured("basic_arithmetic")).campaign.constitution.domains
