"""Suites: secret slices of pools, scores of the campaign's scorers, and a named failure for each kind of bad scorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from judgement.statistics import mean_score
from schemas.campaign import Campaign, ItemSet
from schemas.prompts import Prompt, Shot
from schemas.scores import Kind
from schemas.suites import FilesSuite, PuzzlesSuite, PythonSuite, ScorerRule, Suite
from services.oracle import receipts
from services.oracle.evaluate import evaluate
from services.oracle.harness import model
from services.oracle.harness.asked import padded
from services.oracle.job import EvaluationJob, NothingScored, SealedSet, SetTooSmall
from services.oracle.receipts import Line, ReceiptForged
from services.oracle.score_job import SCORING
from services.oracle.sets import sealed_set
from services.oracle.suites import Suites, by_domain, open_suites
from services.runtime.places import places
from services.runtime.settings import Settings
from services.runtime.telemetry.redaction import safe_message
from tasks.registry import open_suite
from tasks.scorers.scorer import ScoreInvalid
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed
from tests.tiny_models import make_model
from tests.typed import there

KEY, OTHER = b"0123456789abcdef", b"another key, as long"
KINDS = ("dev", "confirm", "external", "final")
SCORER = """
def score(prompts, completions, answer, **columns):
    return [{body} for prompt, completion, right in zip(prompts, completions, answer)]
"""


def write_items(file: Path, number: int, start: int = 0) -> None:
    """Sums; a third of them of the domain `big`."""
    rows = [
        {"prompt": f"{n} + 1 =", "answer": str(n + 1), "domain": "big" if n % 3 == 0 else "small", "level": n}
        for n in range(start, start + number)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def settings(folder: Path) -> Settings:
    return Settings(oracle_items=str(folder), task_path=str(folder))


Rule = TypeVar("Rule", bound=Suite)


def pinned(rule: Rule, folder: Path) -> Rule:
    """A rule as a start records it."""
    with places(settings(folder)) as found:
        scorers = [
            one.model_copy(update={"sha256": found.code_sha256(one.kind.rpartition(":")[0])}) if one.user_code else one
            for one in rule.score
        ]
        rule = rule.model_copy(update={"score": tuple(scorers)})
        return rule.model_copy(update={"pin": open_suite(rule, found).pin()})


def campaign(rule, items: int = 4, rounds: int = 3, seed: int = 0) -> Campaign:
    return Campaign.model_validate(
        {
            "name": "own",
            "seed": seed,
            "constitution": {
                "suites": [rule.model_dump(mode="json", exclude_none=True)],
                "domains": ["small", "big"],
                "rounds": rounds,
                "evaluation": {kind: {"items": items} for kind in KINDS},
                "budget": {"external_queries": 2},
                "space": [{"knob": "rank", "values": [8, 16]}],
                "data": {"sources": [{"kind": "files", "name": "t", "domain": "small", "paths": ["t"]}]},
            },
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("suites")
    write_items(made / "eval.jsonl", 240)
    return made


@pytest.fixture(scope="module")
def sums(folder) -> FilesSuite:
    return pinned(FilesSuite(name="sums", eval="eval.jsonl", score=(ScorerRule(kind="numeric"),)), folder)


def drawn(folder: Path, plan: Campaign, kind: Kind, round_: int = 0, key: bytes = KEY):
    law = plan.constitution
    with places(settings(folder)) as found:
        return open_suites(law.suites, found).draw(sealed_set(plan, kind, round_), law.domains, key)


def ids(parts) -> list[str]:
    return [item.id for part in parts for item in part.items]


def test_a_set_is_the_same_for_the_same_arguments_and_ordered_by_the_campaigns_domains(folder, sums) -> None:
    first, again = (drawn(folder, campaign(sums), "dev") for _ in range(2))
    assert first == again
    assert [(part.suite, part.domain, len(part.items)) for part in first] == [("sums", "small", 4), ("sums", "big", 4)]


def test_no_item_is_in_two_sets_or_in_two_rounds_of_confirm(folder, sums) -> None:
    plan = campaign(sums)
    asked = [ids(drawn(folder, plan, kind)) for kind in ("dev", "external", "final")]
    asked += [ids(drawn(folder, plan, "confirm", round_)) for round_ in range(4)]
    flat = [one for items in asked for one in items]
    assert len(flat) == len(set(flat)) == 7 * 8


@pytest.mark.parametrize(("differs", "key"), [({}, OTHER), ({"seed": 1}, KEY)])
def test_the_order_depends_on_the_key_and_on_the_campaign(folder, sums, differs, key) -> None:
    mine, other = drawn(folder, campaign(sums), "dev"), drawn(folder, campaign(sums, **differs), "dev", key=key)
    assert ids(mine) != ids(other)
    assert ids(mine) != [
        item.id for part in mine for item in sorted(part.items, key=lambda item: item.columns["level"])
    ]


def test_a_pool_that_is_too_small_for_a_round_is_refused_by_name(folder, sums) -> None:
    with pytest.raises(
        SetTooSmall, match=r"evaluation\.confirm\.items: 4 needs items 41 to 44 of the domain (small|big)"
    ):
        drawn(folder, campaign(sums), "confirm", 10)


def test_puzzles_as_a_suite_are_drawn_by_the_key_from_the_kinds_split(folder) -> None:
    rule = pinned(PuzzlesSuite(name="puzzles", domains=("roman",)), folder)
    plan = campaign(rule)
    assert ids(drawn(folder, plan, "dev")) == ids(drawn(folder, plan, "dev"))
    assert not set(ids(drawn(folder, plan, "dev"))) & set(ids(drawn(folder, plan, "external")))
    assert ids(drawn(folder, plan, "dev")) != ids(drawn(folder, plan, "dev", key=OTHER))


@pytest.fixture(scope="module")
def job(folder, sums) -> EvaluationJob:
    """A random model that is asked for sums."""
    (folder / "secret").mkdir()
    (folder / "secret" / "key").write_bytes(KEY)
    return EvaluationJob(
        candidate="base",
        base=str(make_model(folder / "base")),
        sets=(sealed_set(campaign(sums), "dev", 0),),
        suites=(sums,),
        oracle_items=str(folder),
        task_path=str(folder),
        domains=("small", "big"),
        key_file=str(folder / "secret" / "key"),
        max_length=128,
        max_new_tokens=8,
        out=str(folder / "receipts"),
        copies="none",
    )


def scored_by(job: EvaluationJob, folder: Path, name: str, body: str, *more: ScorerRule) -> EvaluationJob:
    """The job with a user's scorer."""
    (folder / f"{name}.py").write_text(SCORER.format(body=body))
    rule = job.suites[0].model_copy(update={"score": (ScorerRule(kind=f"{name}.py:score"), *more), "pin": None})
    return job.model_copy(update={"suites": (pinned(rule, folder),)})


def measure(job: EvaluationJob):
    return evaluate(job, lambda _: None).measured[0]


def lines_of(measured) -> list[Line]:
    return receipts.read(measured.receipt, measured.receipt.uri, Line)


def suites_of(job: EvaluationJob, found) -> Suites:
    return open_suites(job.suites, found)


def compare(job: EvaluationJob, folder: Path, receipt) -> object:
    """The scores of a receipt, as `rescore` computes them."""
    with places(settings(folder)) as found:
        suites = suites_of(job, found)
        parts = suites.draw(job.sets[0], job.domains, KEY)
        expected = [item.id for items in by_domain(parts).values() for item in items]
        return receipts.compare(receipt, expected, lambda outputs: suites.lines(parts, outputs, KEY))


def test_floats_with_their_parts_are_recorded_and_computed_again(job, folder) -> None:
    length = ScorerRule(kind="length", weight=3.0, options={"most": 1})
    graded = scored_by(job, folder, "graded", "min(1.0, len(completion) / 40) if int(right) % 2 else 1.0", length)
    measured = measure(graded)
    lines = lines_of(measured)
    assert len({line.value for line in lines}) > 3
    for line in lines:
        assert line.value == pytest.approx((there(line.parts["graded.py:score"]) + 3 * there(line.parts["length"])) / 4)
        assert line.correct == (there(line.value) >= 1)
    for domain, score in measured.scores.domains.items():
        assert score == mean_score([there(line.value) for line in lines if line.domain == domain])
    assert list(measured.scores.domains) == ["small", "big"]
    assert compare(graded, folder, measured.receipt) == measured.scores


def test_a_changed_score_in_a_suites_receipt_is_found(job, folder, tmp_path) -> None:
    graded = scored_by(job, folder, "half", "0.5")
    lines = lines_of(measure(graded))
    forged = receipts.write([lines[0].model_copy(update={"value": 0.75}), *lines[1:]], tmp_path)
    with pytest.raises(ReceiptForged, match=r"has the score 0\.75, its output gets 0\.5"):
        compare(graded, folder, forged)
    flipped = receipts.write([lines[0].model_copy(update={"correct": True}), *lines[1:]], tmp_path)
    with pytest.raises(ReceiptForged, match="is not True"):
        compare(graded, folder, flipped)


def test_an_answer_without_a_score_does_not_count_and_a_domain_without_any_fails(job, folder) -> None:
    more = {"sets": (job.sets[0].model_copy(update={"spec": ItemSet(items=10)}),)}
    some = measure(scored_by(job, folder, "some", "None if int(right) % 5 == 0 else 0.5").model_copy(update=more))
    lines = lines_of(some)
    unscored = [line for line in lines if not line.scored]
    assert unscored
    assert some.scores.n == len(lines) - len(unscored)
    assert some.scores.score == 0.5
    with pytest.raises(NothingScored, match="no answer of the domain big got a score"):
        measure(scored_by(job, folder, "none", "None if int(prompt.split()[0]) % 3 == 0 else 1.0"))


def right_answer(job: EvaluationJob) -> str:
    """The answer of the first item."""
    with places(Settings(oracle_items=job.oracle_items, task_path=job.task_path)) as found:
        return open_suites(job.suites, found).draw(job.sets[0], job.domains, KEY)[0].items[0].answer


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("1 / 0", UserCodeFailed),
        ("int(prompt)", UserCodeFailed),
        ("float('nan')", ScoreInvalid),
        ("1.5", ScoreInvalid),
        ("right", ScoreInvalid),
        ("1.0", None),
    ],
)
def test_a_bad_scorer_fails_by_name_and_its_words_stay_out_of_the_log(job, folder, body, failure) -> None:
    """Also where it quotes an answer."""
    bad = scored_by(job, folder, "bad", body)
    if failure is None:
        assert measure(bad).scores.score == 1.0
        return
    with pytest.raises(failure) as caught:
        measure(bad)
    told = safe_message(caught.value)
    assert "bad.py:score" in told
    assert "[not quoted: see the service's log]" in told
    assert not any(words in told for words in ("division", "nan", "1.5", f"'{right_answer(bad)}'"))
    assert failure.__name__ in SCORING.permanent


def test_a_scorer_of_the_wrong_length_fails_by_name(job, folder) -> None:
    bad = scored_by(job, folder, "short", "1.0")
    (folder / "short.py").write_text("def score(prompts, completions, **columns):\n    return [1.0]\n")
    rule = bad.suites[0].model_copy(update={"score": (ScorerRule(kind="short.py:score"),), "pin": None})
    with pytest.raises(ScoreInvalid, match="returned 1 scores for 8 completions"):
        measure(bad.model_copy(update={"suites": (pinned(rule, folder),)}))


def test_a_scorer_that_has_changed_since_the_start_is_refused(job, folder) -> None:
    bad = scored_by(job, folder, "moving", "1.0")
    (folder / "moving.py").write_text(SCORER.format(body="0.0"))
    with pytest.raises(ItemsChanged, match=r"moving\.py:score has hash"):
        measure(bad)


def test_changed_items_and_missing_files_are_refused_before_the_model_is_loaded(job, tmp_path) -> None:
    write_items(tmp_path / "eval.jsonl", 239)
    nowhere = {"base": str(tmp_path / "none"), "oracle_items": str(tmp_path), "task_path": str(tmp_path)}
    here = job.model_copy(update=nowhere | {"base": job.base})
    with pytest.raises(ItemsChanged, match="its items or settings have hash"):
        measure(here)
    (tmp_path / "eval.jsonl").unlink()
    with pytest.raises(SuiteRefused, match=r"eval\.jsonl"):
        measure(here)


def test_no_argument_of_a_scorer_holds_the_key_and_it_cannot_be_read(job, folder) -> None:
    """The key lies below the folder of the scorer, as in a run beside its campaign file."""
    code = f"""
import pathlib
def score(prompts, completions, **columns):
    try:
        found = pathlib.Path({str(folder / "secret" / "key")!r}).read_bytes()
    except OSError:
        found = b""
    told = repr((prompts, completions, columns))
    return [0.0 if found or {KEY.decode()!r} in told or {KEY.hex()!r} in told else 1.0] * len(prompts)
"""
    (folder / "spy.py").write_text(code)
    rule = job.suites[0].model_copy(update={"score": (ScorerRule(kind="spy.py:score"),), "pin": None})
    assert measure(job.model_copy(update={"suites": (pinned(rule, folder),)})).scores.score == 1.0


def test_a_users_module_makes_and_scores_items_of_every_set(job, folder) -> None:
    (folder / "own.py").write_text(
        "import random\n"
        "def rows(split, seed, n):\n"
        "    draw = random.Random(f'{split}/{seed}')\n"
        "    return [{'prompt': f'{draw.random()} =', 'answer': split} for _ in range(n)]\n"
        "def score(prompts, completions, answer, **columns):\n"
        "    return [float(one == 'target') for one in answer]\n"
    )
    rule = pinned(PythonSuite(name="own", file="own.py"), folder)
    sets = tuple(SealedSet(kind=kind, spec=ItemSet(items=3), nonce="n") for kind in ("dev", "external"))
    both = evaluate(job.model_copy(update={"suites": (rule,), "sets": sets, "domains": ("own",)}), lambda _: None)
    assert [measured.scores.score for measured in both.measured] == [0.0, 1.0]


def test_the_stamp_tells_suites_scorers_and_forms_apart(job, folder) -> None:
    stamps = [measure(job).stamp]
    stamps.append(measure(scored_by(job, folder, "one", "1.0")).stamp)
    stamps.append(measure(scored_by(job, folder, "one", "0.5")).stamp)
    stamps += [measure(job.model_copy(update={"prompt": form})).stamp for form in (Prompt(), Prompt(suffix=" "))]
    assert stamps[0].template_sha256 == stamps[3].template_sha256
    assert len({stamp.template_sha256 for stamp in stamps}) == 4
    assert stamps[0].harness.endswith(", greedy, no penalties")


def test_control_tokens_in_an_item_are_plain_text_and_a_text_begins_once(job, folder, tmp_path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    begin, end = tokenizer.bos_token, tokenizer.eos_token
    rows = [{"prompt": f"{begin}{n} {end} + {begin} 1 =", "answer": "7"} for n in range(60)]
    (tmp_path / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rule = pinned(FilesSuite(name="traps", eval="eval.jsonl", score=(ScorerRule(kind="exact"),)), tmp_path)
    seen: list[list[int]] = []
    where = {"suites": (rule,), "oracle_items": str(tmp_path), "task_path": str(tmp_path), "domains": ("traps",)}
    trapped = job.model_copy(update={**where, "prompt": Prompt(shots=(Shot(prompt="1 =", completion="1"),))})

    def heard(rows: list[list[int]], filler: int):
        seen.extend(rows)
        return padded(rows, filler)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "padded", heard)
        assert measure(trapped).scores.n == 4
    assert len(seen) == 4
    for ids_ in seen:
        assert ids_[0] == tokenizer.bos_token_id
        assert tokenizer.bos_token_id not in ids_[1:]
        assert tokenizer.eos_token_id not in ids_


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 1)), min_size=1))
def test_the_score_of_any_lines_is_the_mean_over_domains_of_the_means_of_scored_items(rows) -> None:
    lines = [
        Line(domain=domain, item="x", output="", correct=False, answer="0" * 64, value=value, scored=value is not None)
        for domain, value in rows
    ]
    groups = {domain: [value for one, value in rows if one == domain and value is not None] for domain, _ in rows}
    if not all(groups.values()):
        with pytest.raises(NothingScored):
            receipts.count(lines)
        return
    counted = receipts.count([Line.model_validate_json(line.model_dump_json()) for line in lines])
    assert counted.domains == {domain: mean_score(values) for domain, values in groups.items()}
