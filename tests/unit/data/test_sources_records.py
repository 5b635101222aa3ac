"""Records of every form and format become the rows that they say, value for value, or are counted by a reason."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from schemas.campaign import Constitution
from schemas.sources import FilesSource
from services.data.sources import source as source_module
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext, SourceFailed
from services.data.sources.suites import Suites
from tests.harvests import Harvest
from tests.unit.folder_places import NOWHERE

LAW: dict[str, Any] = {
    "evaluation": {kind: {"items": 2} for kind in ("dev", "confirm", "external", "final")},
    "budget": {"external_queries": 2},
    "space": [{"knob": "rank", "values": [8, 16]}],
    "suites": [{"kind": "files", "name": "maths", "all": "all.jsonl", "score": "numeric"}],
    "data": {"sources": [{"kind": "files", "name": "own", "domain": "maths", "paths": ["x"]}]},
}


def suites(**more) -> Suites:
    return Suites(Constitution.model_validate({**LAW, **more}), NOWHERE)


def harvest(*paths, campaign=None, **more) -> Harvest:
    spec = FilesSource.model_validate({"name": "own", "domain": "maths", "paths": [str(p) for p in paths], **more})
    return Harvest().go_on(make_source(spec, RoundContext(1, suites=campaign)))


def lines(path: Path, *records) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def only(*args, **more):
    found = harvest(*args, **more)
    assert not found.skipped
    [row] = found.rows
    return row


def test_a_completion_is_taught_as_it_stands(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"prompt": "Capital of France?", "completion": " Paris, on the Seine.\n"})
    row = only(path, campaign=suites())
    assert (row.prompt, row.trace, row.answer, row.form) == (
        "Capital of France?",
        " Paris, on the Seine.\n",
        "",
        "{trace}",
    )
    assert row.completion(traced=True) == row.completion(traced=False) == row.trace


def test_a_known_answer_goes_with_a_completion_and_is_not_added_to_it(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"prompt": "3+4?", "completion": "It is 7.", "answer": "7"})
    row = only(path, campaign=suites())
    assert (row.answer, row.completion(traced=True)) == ("7", "It is 7.")


def test_an_answer_is_cut_out_of_the_worked_text(tmp_path):
    solution = "Half of 48 is 24.\n48+24=72\n#### 72"
    path = lines(tmp_path / "a.jsonl", {"question": "How many?", "answer": solution}, {"question": "?", "answer": "no"})
    found = harvest(path, campaign=suites(), prompt="question", answer="answer", answer_pattern=r"#### (\S+)")
    assert found.skipped == {"no_answer": 1}
    assert (found.rows[0].answer, found.rows[0].completion(traced=True)) == ("72", solution)


@pytest.mark.parametrize(
    ("score", "form", "traced", "bare"),
    [
        ("numeric", "", "3+4=7\n7", "7"),
        ("boxed", "", "3+4=7 \\boxed{7}", "\\boxed{7}"),
        ("numeric", "{trace}\n#### {answer}", "3+4=7\n#### 7", "#### 7"),
    ],
)
def test_steps_and_answer_are_taught_in_the_suites_form(tmp_path, score, form, traced, bare):
    path = lines(tmp_path / "a.jsonl", {"question": "3+4?", "answer": 7, "steps": "3+4=7"})
    campaign = suites(suites=[{**LAW["suites"][0], "score": score}])
    row = only(path, campaign=campaign, form=form)
    assert (row.completion(traced=True), row.completion(traced=False)) == (traced, bare)


def test_without_suites_an_answer_is_boxed_as_ever(tmp_path):
    row = only(lines(tmp_path / "a.jsonl", {"q": "3+4?", "a": 7, "note": "x"}), prompt="q", answer="a")
    assert (row.form, row.columns, row.completion(traced=True)) == ("", "", "\\boxed{7}")


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "3+4?"},
    {"role": "assistant", "content": "7"},
]


@pytest.mark.parametrize("shared", [False, True])
def test_a_conversation_keeps_its_turns(tmp_path, shared):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    record = {"conversations": [{"from": names[t["role"]], "value": t["content"]} for t in CHAT]}
    row = only(lines(tmp_path / "a.jsonl", record if shared else {"messages": CHAT}), campaign=suites())
    assert json.loads(row.messages) == CHAT
    assert (row.prompt, row.trace, row.answer) == ("Be brief.\nHi\nHello\n3+4?", "7", "")


def test_a_conversation_without_an_answer_is_counted(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"messages": CHAT[:2]}, {"messages": []}, {"messages": [{"role": "x"}]})
    assert harvest(path, campaign=suites()).skipped == {"no_completion": 1, "no_conversation": 2}


def test_a_preference_pair_has_a_worse_answer(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"prompt": "Greet me", "chosen": "Good day!", "rejected": "What?"},
        {"prompt": "Greet me now", "chosen": "same", "rejected": "same"},
    )
    found = harvest(path, campaign=suites())
    assert found.skipped == {"equal_pair": 1}
    row = found.rows[0]
    assert (row.prompt, row.completion(traced=True), row.rejected) == ("Greet me", "Good day!", "What?")


def test_alpaca_joins_instruction_and_input(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"instruction": "Add.", "input": "3, 4", "output": "7"}]))
    row = only(path)
    assert (row.prompt, row.trace, row.form) == ("Add.\n\n3, 4", "7", "{trace}")


def test_rows_go_to_the_domain_that_they_name_and_others_are_counted(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        *({"question": f"{n}?", "answer": "1", "kind": kind} for n, kind in enumerate(["Gain", "loss", "other", None])),
    )
    names = {"domain": "gain", "domain_column": "kind", "domains": ["gain", "loss"]}
    found = harvest(path, prompt="question", answer="answer", campaign=suites(), **names)
    assert [row.domain for row in found.rows] == ["gain", "loss", "gain"]
    assert found.skipped == {"other_domain": 1}


def test_further_columns_go_to_the_scorers_of_suites_up_to_a_length(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"question": "1?", "answer": "1", "unit": "km", "tests": [1, {"a": None}]},
        {"question": "2?", "answer": "2", "unit": "x" * 100_001},
    )
    found = harvest(path, campaign=suites())
    assert json.loads(found.rows[0].columns) == {"unit": "km", "tests": [1, {"a": None}]}
    assert found.skipped == {"columns_too_long": 1}


def test_a_column_of_texts_stays_plain_text_beside_others(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"text": "A page.", "question": "1?", "answer": "1"})
    assert [(row.prompt, row.trace) for row in harvest(path).rows] == [("", "A page.")]


def test_roles_are_detected_from_the_first_lines_and_not_line_by_line(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", {"question": "1?", "answer": "1", "label": "x"}, {"question": "2?", "label": "y"}
    )
    found = harvest(path)
    assert [(row.prompt, row.answer) for row in found.rows] == [("1?", "1")]
    assert found.skipped == {"no_answer": 1}


def test_a_named_question_alone_finds_the_other_columns(tmp_path):
    row = only(lines(tmp_path / "a.jsonl", {"Frage": "3+4?", "answer": "7"}), prompt="Frage")
    assert (row.prompt, row.answer) == ("3+4?", "7")


@pytest.mark.parametrize(("one", "other"), [("2³", "23"), ("A?", "a?"), ("5 Mm", "5 mm"), ("x²", "x2"), ("①", "1")])
def test_questions_that_differ_in_a_character_are_two(tmp_path, one, other):
    path = lines(tmp_path / "a.jsonl", {"question": one, "answer": "1"}, {"question": other, "answer": "2"})
    assert len({row.core for row in harvest(path).rows}) == 2


RECORDS = [{"question": f"{n}+1?", "answer": f"{n + 1:03}"} for n in range(7)]


def write(folder: Path, ending: str) -> Path:
    path = folder / f"a{ending}"
    if ending == "":
        Dataset.from_list(RECORDS).save_to_disk(path)
    elif ending == ".parquet":
        parquet.write_table(pa.Table.from_pylist(RECORDS), path)
    elif ".csv" in ending or ".tsv" in ending:
        opened = gzip.open(path, "wt", newline="") if ending.endswith(".gz") else path.open("w", newline="")
        with opened as file:
            writer = csv.DictWriter(file, ["question", "answer"], delimiter="\t" if ".tsv" in ending else ",")
            writer.writeheader()
            writer.writerows(RECORDS)
    else:
        text = json.dumps(RECORDS) if ".json" in ending and "jsonl" not in ending else ""
        data = (text or "".join(json.dumps(record) + "\n" for record in RECORDS)).encode()
        data = gzip.compress(data) if ending.endswith(".gz") else data
        path.write_bytes(pa.compress(data, codec="zstd", asbytes=True) if ending.endswith(".zst") else data)
    return path


ENDINGS = [".jsonl", ".ndjson", ".json", ".json.gz", ".json.zst", ".csv", ".csv.gz", ".tsv", ".parquet", ""]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_rows_once_also_when_killed(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(source_module, "STEP_ROWS", 2)
    path = write(tmp_path, ending)
    spec = FilesSource(name="own", domain="maths", paths=(str(path),))
    found = Harvest()
    for steps in (0, 1, 1, 0, None, None):
        found.go_on(make_source(spec, RoundContext(1)), steps)
    assert [(row.prompt, row.answer) for row in found.rows] == [(r["question"], r["answer"]) for r in RECORDS]
    assert not found.skipped


def test_a_changed_csv_is_read_anew_and_an_equal_one_is_not(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("question,answer\n1?,1\n")
    spec = FilesSource(name="own", domain="maths", paths=(str(path),))
    found = Harvest().go_on(make_source(spec, RoundContext(1)))
    path.touch()
    assert len(found.go_on(make_source(spec, RoundContext(2))).rows) == 1
    path.write_text("question,answer\n1?,1\n2?,2\n")
    assert [row.prompt for row in found.go_on(make_source(spec, RoundContext(3))).rows] == ["1?", "1?", "2?"]


def test_values_keep_their_spelling_in_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    answers = ["0.10", "1E400", "9007199254740993", "007", "-0.0", "1e3"]
    literals = [json.dumps(a) if a == "007" else a for a in answers]
    path.write_text("".join(f'{{"question": "{n}?", "answer": {a}}}\n' for n, a in enumerate(literals)))
    assert [row.answer for row in harvest(path).rows] == answers


def test_one_bad_text_of_parquet_is_one_rows_refusal_also_within_a_list(tmp_path):
    bad = pa.array([b"fine", b"\xff\xfe", b"good"], pa.binary()).cast(pa.string(), safe=False)
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"fine", b"\xff\xfe", b"good"], pa.binary()).buffers())
    turns = pa.StructArray.from_arrays([pa.array(["user", "user", "user"]), bad], ["role", "content"])
    nested = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), turns)
    parquet.write_table(pa.table({"question": bad, "answer": ["1", "2", "3"]}), tmp_path / "a.parquet")
    parquet.write_table(
        pa.table({"question": ["a", "b", "c"], "answer": ["1"] * 3, "x": nested}), tmp_path / "b.parquet"
    )
    found = harvest(tmp_path / "*.parquet", campaign=suites())
    assert [row.prompt for row in found.rows] == ["fine", "good", "a", "c"]
    assert found.skipped == {"encoding": 2}


def test_a_name_with_brackets_that_exists_is_no_pattern(tmp_path):
    path = lines(tmp_path / "rows [v1].jsonl", {"text": "one"})
    lines(tmp_path / "rows v.jsonl", {"text": "two"})
    assert harvest(path).texts == ["one"]


def test_a_folder_stands_for_its_files_and_one_of_several_splits_is_refused(tmp_path):
    lines(tmp_path / "b.jsonl", {"text": "two"})
    lines(tmp_path / "a.jsonl", {"text": "one"})
    (tmp_path / "README.rst").write_text("not read")
    assert harvest(tmp_path).texts == ["one", "two"]
    splits = tmp_path / "splits"
    Dataset.from_list(RECORDS).save_to_disk(splits / "train")
    (splits / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(SourceFailed, match=r"holds the splits train; name one of them, as .*splits/train"):
        harvest(splits)
    assert len(harvest(splits / "train").rows) == len(RECORDS)


def test_a_damaged_file_is_counted_and_its_good_rows_are_kept(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"question,answer\n" + b"1?,1\n" * 5_000)[:-30])
    (tmp_path / "b.json").write_text('[{"question": "2?", "answer": "2"}, ')
    (tmp_path / "c.csv").write_text("question,answer\n3?,3\n4?\n\xff,5\n", encoding="latin-1")
    (tmp_path / "d.csv").write_text("x,y\n1,2\n")
    found = harvest(tmp_path / "*")
    assert found.skipped["broken"] == 2
    assert (found.skipped["columns"], found.skipped["encoding"], found.skipped["no_column"]) == (1, 1, 1)
    assert {"1?", "3?"} == {row.prompt for row in found.rows}


def test_a_zst_file_damaged_at_its_end_gives_every_good_line(tmp_path):
    texts = [f"line {n} {n * n}" for n in range(5_000)]
    data = pa.compress("".join(json.dumps({"text": t}) + "\n" for t in texts).encode(), codec="zstd", asbytes=True)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(data + b"damaged")
    found = harvest(path)
    assert (found.texts, found.skipped) == (texts, {"broken": 1})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_any_json_is_a_row_or_a_reason(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_text(json.dumps({"question": value, "answer": value, "messages": value, "x": value}) + "\n")
    for named in ({}, {"prompt": "question"}, {"prompt": "question", "answer": "answer"}, {"messages": "messages"}):
        found = harvest(path, campaign=suites(), **named)
        assert len(found.rows) + found.skipped.total() == 1
