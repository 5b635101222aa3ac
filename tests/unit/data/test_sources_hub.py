"""Data sets: a round's share from where the last ended, and never code."""

import gzip
import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict
from pyarrow import parquet

from schemas.sources import HubSource
from services.data.sources import hub
from services.data.sources import source as source_module
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext, SourceFailed
from tests.harvests import Harvest


def source(folder, round_=1, **more):
    given = {"name": "set", "domain": "prose", "dataset": str(folder), "rows_per_round": 4, **more}
    return make_source(HubSource.model_validate(given), RoundContext(round_))


def fill(folder, name, *records):
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))


def test_each_round_reads_its_share_once_also_when_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "STEP_ROWS", 2)
    fill(tmp_path, "a.jsonl", *({"text": f"text {i}", "other": i} for i in range(10)))
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\nA set.\n")
    harvest = Harvest()
    for round_ in range(1, 5):
        for steps in (0, 1, 1, None):
            harvest.go_on(source(tmp_path, round_), steps)
        assert harvest.texts == [f"text {i}" for i in range(min(4 * round_, 10))]
    row = harvest.rows[5]
    assert row.uri.startswith(f"{tmp_path}@")
    assert row.uri.endswith("/train#5")
    assert (row.licence, row.source, len(row.sha256)) == ("mit", "set", 64)


def test_a_set_that_has_changed_is_read_anew(tmp_path):
    fill(tmp_path, "a.jsonl", {"text": "one"}, {"text": "two"})
    harvest = Harvest().go_on(source(tmp_path))
    fill(tmp_path, "a.jsonl", {"text": "one"}, {"text": "2"})
    assert harvest.go_on(source(tmp_path, 2)).texts == ["one", "two", "one", "2"]


def test_questions_are_read_and_bad_rows_counted(tmp_path):
    fill(tmp_path, "a.jsonl", {"q": "1 + 1?", "a": 2}, {"q": None, "a": 3}, {"q": "2 + 2?", "a": None})
    harvest = Harvest().go_on(source(tmp_path, prompt="q", answer="a"))
    assert [(row.prompt, row.answer) for row in harvest.rows] == [("1 + 1?", "2")]
    assert harvest.skipped == {"no_prompt": 1, "no_answer": 1}


def test_a_set_that_asks_for_remote_code_is_refused_and_its_code_not_run(tmp_path):
    folder = tmp_path / "sly"
    folder.mkdir()
    (folder / "sly.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    fill(folder, "a.jsonl", {"text": "bait"})
    harvest = Harvest().go_on(source(folder))
    assert (harvest.rows, harvest.skipped) == ([], {"remote_code": 1})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"text": "body"}, "there is no column 'body', only text; name one of them"),
        ({"split": "test"}, "split 'test': ValueError: Bad split"),
        ({"config": "big"}, "config 'big'"),
    ],
)
def test_a_set_that_cannot_be_read_fails_with_the_field(tmp_path, more, words):
    fill(tmp_path, "a.jsonl", {"text": "one"})
    with pytest.raises(SourceFailed, match=f"data.sources: set: .*{words}"):
        Harvest().go_on(source(tmp_path, **more))


def test_a_broken_shard_fails_the_source_behind_the_rows_before_it(tmp_path):
    fill(tmp_path, "a.jsonl", {"text": "one"}, {"text": "two"})
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "three"}\n' * 1_000)[:-20])
    harvest = Harvest()
    for round_ in (1, 2):
        with pytest.raises(SourceFailed, match=r"b\.jsonl\.gz: EOFError"):
            harvest.go_on(source(tmp_path, round_, rows_per_round=10_000))
    assert harvest.texts[:3] == ["one", "two", "three"]


def test_a_bad_line_and_a_further_column_fail_nothing_else(tmp_path):
    fill(tmp_path, "a.jsonl", {"text": "one"})
    (tmp_path / "b.jsonl").write_text('{"text": "two", "more": [1, {"x": null}]}\n{broken\n{"text": "three"}\n')
    harvest = Harvest().go_on(source(tmp_path))
    assert (harvest.texts, harvest.skipped) == (["one", "two", "three"], {"not_json": 1})


def test_values_keep_their_spelling(tmp_path):
    (tmp_path / "a.csv").write_text("q,a\nagent?,007\nlarge?,9007199254740993\nsalt?,NA\nis it?,True\nhalf?,0.10\n")
    rows = Harvest().go_on(source(tmp_path, prompt="q", answer="a", rows_per_round=99)).rows
    assert [row.answer for row in rows] == ["007", "9007199254740993", "NA", "True", "0.10"]
    parquet_folder = tmp_path / "columns"
    parquet_folder.mkdir()
    table = pa.table({"q": ["a?", "b?", "c?"], "a": pa.array([0.1, None, 2.5], pa.float32())})
    parquet.write_table(table, parquet_folder / "a.parquet")
    harvest = Harvest().go_on(source(parquet_folder, prompt="q", answer="a"))
    assert ([row.answer for row in harvest.rows], harvest.skipped) == (["0.1", "2.5"], {"no_answer": 1})


def test_a_saved_set_is_read_by_its_split(tmp_path):
    rows = DatasetDict({"train": Dataset.from_list([{"question": "1+1?", "answer": "2"}])})
    rows.save_to_disk(tmp_path / "saved")
    harvest = Harvest().go_on(source(tmp_path / "saved"))
    assert [(row.prompt, row.answer) for row in harvest.rows] == [("1+1?", "2")]


def test_a_file_of_the_hub_is_fetched_and_read_as_it_is(tmp_path, monkeypatch):
    fill(tmp_path, "a.jsonl", {"q": "1?", "a": 1})
    resolved = SimpleNamespace(repo_id="some/set", path_in_repo="a.jsonl", revision="abc")
    monkeypatch.setattr(hub, "HfFileSystem", lambda: SimpleNamespace(resolve_path=lambda _: resolved))
    fetched = []

    def download(*names, **more):
        fetched.append((*names, more))
        return tmp_path / "a.jsonl"

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert hub._local("hf://datasets/some/set@abc/a.jsonl") == tmp_path / "a.jsonl"
    assert fetched == [("some/set", "a.jsonl", {"repo_type": "dataset", "revision": "abc"})]
