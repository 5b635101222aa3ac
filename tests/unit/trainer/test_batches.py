"""Rows and batches: the recipe's weights, nothing cut, only completions learnt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.prompts import Prompt
from schemas.recipe import Recipe
from schemas.rows import Row
from services.trainer.batches import IGNORED, Example, Texts, arrange, curriculum, encode, pad, pieces, prepare
from services.trainer.job import RowsMissing, SnapshotMissing, TrainingJob
from services.trainer.rows import draws, probabilities, read, split, take
from services.trainer.tiny_base.tokenizer import make_tokenizer
from tasks.puzzles.vocabulary import vocabulary
from tests.tiny_models import make_snapshot, spelt
from tests.trained import write_rows
from tests.typed import instance

TOKENIZER = make_tokenizer(vocabulary(), 256)
LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=200)


def cells(rows: int = 50) -> dict[tuple[str, int, int], list[Row]]:
    names = [(d, level, w) for d in ("roman", "units") for level in (1, 2, 3) for w in (0, 1, 2)]
    return {cell: [Row(*cell, f"{cell} {i}", str(i), "", str(i)) for i in range(rows)] for cell in names}


def job(tmp_path, **changes) -> TrainingJob:
    recipe = Recipe(**{"steps": 4, "batch": 8, **changes.pop("recipe", {})})
    fixed = {"candidate": "r1s0", "recipe": recipe, "base": "-", "seed": 1, "max_length": 256}
    places = {"work": "-", "out": "-", "copies": "-"}
    return TrainingJob(**{**fixed, **places, "snapshot": make_snapshot(tmp_path), **changes})


def example(length: int, difficulty: int = 1) -> Example:
    return Example(tuple(range(1, length + 1)), ((length // 2, length),), difficulty)


@given(st.floats(0.1, 4), st.floats(1, 16))
def test_upsampling_follows_its_formula(mix: float, k: float) -> None:
    recipe = Recipe(mix={"roman": mix}, upsample={"roman": k})
    p = mix / (mix + 1)
    assert recipe.shares(("roman", "units"))["roman"] == pytest.approx(k * p / (1 + (k - 1) * p))


def test_a_mix_without_any_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="mix: every one of roman weighs 0"):
        Recipe(mix={"roman": 0.0}).shares(("roman",))


@given(st.tuples(*[st.floats(0, 5)] * 3), st.tuples(*[st.floats(0, 5)] * 3))
def test_cell_probabilities_sum_to_one(difficulty, wordings) -> None:
    recipe = Recipe(difficulty=(1.0 + difficulty[0], *difficulty[1:]), wordings=(1.0 + wordings[0], *wordings[1:]))
    assert sum(probabilities(recipe, ["roman", "units"]).values()) == pytest.approx(1)


def test_draws_follow_the_weights_and_the_share_of_traces() -> None:
    recipe = Recipe(mix={"roman": 3.0}, difficulty=(1, 0, 1), wordings=(1, 0, 0), traces=0.25)
    drawn = list(islice(draws(recipe, cells(), seed=0), 4000))
    assert {(row.difficulty, row.wording) for row, _ in drawn} == {(1, 0), (3, 0)}
    assert np.mean([row.domain == "roman" for row, _ in drawn]) == pytest.approx(0.75, abs=0.03)
    assert np.mean([traced for _, traced in drawn]) == pytest.approx(0.25, abs=0.03)


@given(st.integers(0, 5))
def test_no_row_comes_again_before_all_of_its_cell_have_come(seed: int) -> None:
    times = Counter(row.prompt for row, _ in take(draws(Recipe(), cells(rows=30), seed), 150))
    by_cell = {d: [n for prompt, n in times.items() if d in prompt] for d in ("roman", "units")}
    assert all(max(counts) - min(counts) <= 1 for counts in by_cell.values())


def test_a_cell_without_rows_is_named() -> None:
    some = {cell: rows for cell, rows in cells().items() if cell != ("units", 2, 0)}
    with pytest.raises(RowsMissing, match=r"\('units', 2, 0\)"):
        next(draws(Recipe(difficulty=(1, 1, 0)), some, seed=0))


def test_held_back_rows_are_never_trained_on() -> None:
    train, held = split(cells(), seed=3)
    assert all(held.values())
    assert not {row for rows in train.values() for row in rows} & {row for rows in held.values() for row in rows}


def collected(domain: str, n: int, **more) -> list[Row]:
    return [Row(domain, 0, 0, f"{domain} {i}", str(i), "", f"{domain} {i}", **more) for i in range(n)]


def test_ungraded_rows_have_their_share_whatever_difficulty_and_wordings_say() -> None:
    held = {**cells(), ("web", 0, 0): collected("web", 30)}
    recipe = Recipe(mix={"web": 2.0}, difficulty=(0, 0, 1), wordings=(0, 1, 0))
    drawn = take(draws(recipe, held, seed=0), 4000)
    assert np.mean([row.domain == "web" for row, _ in drawn]) == pytest.approx(0.5, abs=0.03)
    assert {(row.difficulty, row.wording) for row, _ in drawn} == {(3, 1), (0, 0)}


def test_in_a_domain_of_both_kinds_the_ungraded_have_their_part_of_the_rows() -> None:
    held = {("roman", 1, 0): cells()["roman", 1, 0], ("roman", 0, 0): collected("roman", 150)}
    drawn = take(draws(Recipe(), held, seed=0), 4000)
    assert np.mean([row.difficulty == 0 for row, _ in drawn]) == pytest.approx(0.75, abs=0.03)


def test_what_was_made_from_a_row_that_is_held_back_is_not_trained_on() -> None:
    parents = collected("sums", 64)
    made = [replace(row, core=f"{row.core} #{n}", parent=row.core) for row in parents for n in (1, 2)]
    train, held = split({("sums", 0, 0): [*parents, *made]}, seed=1)
    back = {row.core for row in held["sums", 0, 0]}
    assert len(back) == 192 // 16
    assert not back & {row.core for row in parents if row in train["sums", 0, 0]}
    assert not back & {row.parent for row in train["sums", 0, 0]}
    assert not any(row.parent for row in held["sums", 0, 0])
    assert len(train["sums", 0, 0]) == 192 - 3 * len(back)


def test_a_plain_text_is_learnt_whole() -> None:
    [one] = encode(TOKENIZER, [(Row("web", 0, 0, "", "", "MMCL=?", "x"), True)])
    assert one.prompt == 1
    assert one.tokens[0] == TOKENIZER.bos_token_id
    assert one.tokens[-1] == TOKENIZER.eos_token_id
    assert spelt(TOKENIZER, one.tokens[1:-1]) == "MMCL=?"


def test_prompt_and_completion_are_encoded_as_in_evaluation(tmp_path) -> None:
    row = next(iter(read(make_snapshot(tmp_path)).values()))[0]
    one, traced = encode(TOKENIZER, [(row, False), (row, True)])
    assert list(one.tokens[: one.prompt]) == TOKENIZER(f"{row.prompt}\n")["input_ids"]
    assert one.tokens[0] == TOKENIZER.bos_token_id
    assert one.tokens[-1] == TOKENIZER.eos_token_id
    assert spelt(TOKENIZER, one.tokens[one.prompt : -1]) == f"\\boxed{{{row.answer}}}"
    assert spelt(TOKENIZER, traced.tokens[traced.prompt : -1]) == f"{row.trace} \\boxed{{{row.answer}}}"


def test_rows_too_long_are_dropped_never_cut(tmp_path) -> None:
    whole = prepare(job(tmp_path), TOKENIZER)
    lengths = sorted(len(example.tokens) for batch in whole.batches for example in batch)
    limit = lengths[len(lengths) // 2]
    short = prepare(job(tmp_path, max_length=limit), TOKENIZER)
    kept = [example for batch in short.batches for example in batch]
    assert short.too_long > 0 == whole.too_long
    assert len(kept) == 4 * 8
    assert all(len(example.tokens) <= limit and example.tokens[-1] == TOKENIZER.eos_token_id for example in kept)


def text_job(tmp_path, rows: list[Row], **changes) -> TrainingJob:
    return job(tmp_path, snapshot=write_rows(tmp_path / "own.parquet", rows), max_length=32, **changes)


def text(words: int, name: str = "x", domain: str = "web") -> Row:
    return Row(domain, 0, 0, "", "", " ".join(f"{name}{i}" for i in range(words)), name)


@given(st.integers(1, 400), st.integers(8, 64))
def test_an_epoch_shows_every_token_of_a_long_plain_text_once(words: int, limit: int) -> None:
    long, texts = text(words), Texts(TOKENIZER, limit)
    [whole] = encode(TOKENIZER, [(long, True)])
    [entries] = texts.repeated({("web", 0, 0): [long]}, seed=0).values()
    pieces = texts.next_pieces([(row, True) for row in entries], Prompt())
    examples = [example for piece in pieces for example in instance(tuple, piece)]
    assert len(examples) == len(pieces)
    assert [token for one in examples for token in one.tokens[1:]] == list(whole.tokens[1:])
    assert all(one.tokens[0] == TOKENIZER.bos_token_id and one.spans == ((1, one.size),) for one in examples)
    assert max(one.size for one in examples) <= limit
    assert max(one.size for one in examples) - min(one.size for one in examples) <= 1
    assert texts.next_pieces([(long, True)], Prompt()) == [(examples[0],)]


def test_a_text_that_is_too_long_is_not_dropped(tmp_path) -> None:
    data = prepare(text_job(tmp_path, [text(300, "a"), *(text(2, f"b{i}") for i in range(20))]), TOKENIZER)
    assert data.too_long == 0
    assert not data.left_out.by_source
    assert max(one.size for batch in data.batches for one in batch) <= 32


def test_pieces_of_texts_do_not_change_the_mix_of_domains(tmp_path) -> None:
    rows = [text(200, f"a{i}") for i in range(20)] + [text(3, f"b{i}", "notes") for i in range(20)]
    data = prepare(text_job(tmp_path, rows, recipe={"steps": 100}), TOKENIZER)
    long = [one.size > 20 for batch in data.batches for one in batch]
    assert np.mean(long) == pytest.approx(0.5, abs=0.06)


def test_a_text_of_which_a_piece_is_held_out_is_not_trained_on(tmp_path) -> None:
    rows = [text(40, f"{chr(97 + i // 10)}{i % 10}") for i in range(64)]
    data = prepare(text_job(tmp_path, rows, recipe={"steps": 200}), TOKENIZER)
    trained = {one.tokens for batch in data.batches for one in batch}
    assert data.held_out
    assert not trained & {one.tokens for one in data.held_out}


def test_a_length_that_no_row_fits_is_an_error(tmp_path) -> None:
    with pytest.raises(RowsMissing, match=r"model\.max_length: no row of the snapshot fits 8 tokens"):
        prepare(job(tmp_path, max_length=8), TOKENIZER)


def test_a_missing_snapshot_is_named(tmp_path) -> None:
    with pytest.raises(SnapshotMissing, match=r"nowhere\.parquet"):
        prepare(job(tmp_path, snapshot="nowhere.parquet"), TOKENIZER)


@given(LENGTHS, st.integers(1, 20))
def test_batches_hold_every_example_once(lengths: list[int], size: int) -> None:
    examples = [example(length) for length in lengths]
    batches = arrange(examples, Recipe(batch=size), seed=0)
    assert Counter(e for batch in batches for e in batch) == Counter(examples)
    assert max(map(len, batches)) <= size


def test_batches_of_similar_length_save_padding() -> None:
    examples = [example(length) for length in np.random.default_rng(0).integers(5, 100, 1600)]
    padded = sum(max(len(e.tokens) for e in batch) * len(batch) for batch in arrange(examples, Recipe(), seed=0))
    assert sum(len(e.tokens) for e in examples) / padded > 0.9


@pytest.mark.parametrize(("order", "expected"), [("easy_first", [1, 2, 3]), ("hard_first", [3, 2, 1])])
def test_curriculum_orders_by_difficulty(order: str, expected: list[int]) -> None:
    examples = [example(9, difficulty) for difficulty in (2, 1, 3)]
    assert [e.difficulty for e in curriculum(examples, order)] == expected
    assert curriculum(examples, "shuffled") == examples


@given(LENGTHS, st.integers(1, 300))
@settings(max_examples=50)
def test_pieces_keep_order_and_fit_the_limit(lengths: list[int], limit: int) -> None:
    batch = [example(length) for length in lengths]
    cut = pieces(batch, limit)
    assert [e for piece in cut for e in piece] == batch
    assert all(len(piece) == 1 or len(piece) * max(len(e.tokens) for e in piece) <= limit for piece in cut)


@given(LENGTHS)
def test_padding_is_on_the_right_and_only_completions_are_targets(lengths: list[int]) -> None:
    batch = [example(length) for length in lengths]
    ids, targets = pad(batch, filler=0)
    for row, one in enumerate(batch):
        assert tuple(ids[row, : len(one.tokens)]) == one.tokens
        assert not ids[row, len(one.tokens) :].any()
        learnt = np.flatnonzero(targets[row] != IGNORED)
        assert list(learnt) == list(range(one.prompt, len(one.tokens)))
        assert (targets[row, learnt] == ids[row, learnt]).all()
