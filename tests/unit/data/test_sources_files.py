"""Sources of files: each row once, whatever is killed, appended, changed or broken."""

import gzip
import json
import os
import resource
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from schemas.rows import UNGRADED
from schemas.sources import FilesSource
from services.data.sources import files, jsonl
from services.data.sources import source as source_module
from services.data.sources.registry import make_source
from services.data.sources.rows import sha256
from services.data.sources.source import RoundContext, SourceFailed
from tests.harvests import Harvest

LONG = 200


def source(*paths, round_=1, **more):
    given = {"name": "notes", "domain": "prose", "paths": [str(path) for path in paths], "max_bytes": LONG, **more}
    return make_source(FilesSource.model_validate(given), RoundContext(round_))


def lines(*texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(source_module, "STEP_ROWS", 3)
    monkeypatch.setattr(files, "STEP_ROWS", 3)


def packed(path: Path, data: bytes) -> Path:
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pa.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)
    return path


def test_a_row_says_where_it_comes_from(tmp_path):
    path = packed(
        tmp_path / "a.jsonl", b'{"text": "Two  Rivers\\u0000", "at": "http://a/b", "terms": "MIT"}\n{"text": "x"}\n'
    )
    spec = {"licence": "CC0-1.0", "uri_column": "at", "licence_column": "terms"}
    said, silent = Harvest().go_on(source(path, **spec)).rows
    assert (said.domain, said.source, said.difficulty, said.wording) == ("prose", "notes", UNGRADED, 0)
    assert (said.trace, said.prompt, said.answer) == ("Two  Rivers", "", "")
    assert (said.uri, said.licence) == ("http://a/b", "MIT")
    assert said.core == sha256(b"two rivers")
    assert said.sha256 == sha256(path.read_bytes().splitlines(keepends=True)[0])
    assert said.fetched_at.endswith("+00:00")
    assert (silent.uri, silent.licence) == (str(path), "CC0-1.0")


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_a_file_that_has_grown_gives_its_new_lines_and_a_changed_one_all(tmp_path, ending):
    path = packed(tmp_path / f"a.{ending}", lines("one", "two").encode())
    harvest = Harvest().go_on(source(path))
    assert harvest.go_on(source(path, round_=2)).texts == ["one", "two"]
    packed(path, lines("one", "two", "three").encode())
    assert harvest.go_on(source(path, round_=3)).texts == ["one", "two", "three"]
    packed(path, lines("One", "two", "three", "four").encode())
    assert harvest.go_on(source(path, round_=4)).texts[3:] == ["One", "two", "three", "four"]
    packed(path, lines("short").encode())
    assert harvest.go_on(source(path, round_=5)).texts[7:] == ["short"]


def test_a_line_that_is_still_being_written_waits_for_the_next_round(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines("one") + '{"text": "tw')
    harvest = Harvest().go_on(source(path))
    assert (harvest.texts, harvest.skipped) == (["one"], {"unfinished": 1})
    path.write_text(lines("one", "two") + '{"text": "three"}')
    assert harvest.go_on(source(path, round_=2)).texts == ["one", "two", "three"]
    path.write_text(lines("one", "two", "three", "four"))
    assert harvest.go_on(source(path, round_=3)).texts == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", "not_json"),
        (b"[" * 100_000, "too_long"),
        (b"[" * 150, "not_json"),
        (b'["text"]', "not_an_object"),
        (b'{"text": "\xff\xfe"}', "encoding"),
        (b'{"text": "half \\ud800"}', "encoding"),
        (b'{"text": ""}', "no_text"),
        (b'{"text": null}', "no_text"),
        (b'{"other": "x"}', "no_text"),
        (b'{"text": "' + b"x" * LONG + b'"}', "too_long"),
    ],
)
def test_a_bad_line_is_counted_and_its_neighbours_are_kept(tmp_path, line, reason):
    path = packed(tmp_path / "a.jsonl", lines("before").encode() + line + b"\n\n" + lines("after").encode())
    harvest = Harvest().go_on(source(path))
    assert (harvest.texts, harvest.skipped) == (["before", "after"], {reason: 1})


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst"])
@pytest.mark.parametrize("kills", [[], [1], [2, 1]])
def test_a_skipped_line_is_named_by_its_number_wherever_reading_went_on(tmp_path, small_steps, ending, kills):
    bad = [b"{", b'["x"]', b'{"text": "' + b"x" * 2 * LONG + b'"}']
    good = [line.encode() for line in lines("a", "b", "c", "d").splitlines()]
    path = packed(tmp_path / f"a.{ending}", b"\n".join([*good[:3], bad[0], b"", bad[2], good[3], bad[1], b""]))
    harvest = Harvest()
    for steps in kills:
        harvest.go_on(source(path), steps)
    harvest.go_on(source(path))
    assert harvest.skipped == {"not_json": 1, "too_long": 1, "not_an_object": 1}
    assert [(one.reason, one.place) for one in harvest.examples] == [
        ("not_json", f"{path}, line 4"),
        ("too_long", f"{path}, line 6"),
        ("not_an_object", f"{path}, line 8"),
    ]
    assert harvest.examples[0].text.strip() == "{"


def test_a_file_that_an_earlier_release_began_names_its_lines_by_their_place(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines("a"))
    harvest = Harvest().go_on(source(path))
    [mark] = [value for value in harvest.state.values() if "offset" in value]
    assert mark.pop("line") == 1
    with path.open("a") as file:
        file.write("{\n" + lines("b"))
    harvest.go_on(source(path, round_=2))
    assert harvest.texts == ["a", "b"]
    assert [one.place for one in harvest.examples] == [f"{path}, up to byte {len(lines('a')) + 2}"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_skipped_record_is_named_by_its_row(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        path.write_text("text,n\na,1\n,2\nc,3\n")
    else:
        table_of(path, ["a", "", "c"], n=[1, 2, 3])
    [one] = Harvest().go_on(source(path)).examples
    assert (one.reason, one.place) == ("no_text", f"{path}#2" if ending == "csv" else f"{path}, row group 0, row 2")


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_a_line_of_gigabytes_is_passed_over_in_bounded_memory_and_goes_on_after_a_crash(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(jsonl, "EXPANSION", 10_000_000)
    monkeypatch.setattr(jsonl, "PIECES_PER_STEP", 16)
    path = tmp_path / f"a.{ending}"
    opened = gzip.open(path, "wb", compresslevel=1) if ending.endswith("gz") else path.open("wb")
    with opened as file:
        file.write(lines("before").encode())
        for _ in range(120):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + lines("after").encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    harvest = Harvest()
    for _ in range(3):
        harvest.go_on(source(path), steps=1)
    assert harvest.state[str(path)]["offset"] > 30_000_000
    harvest.go_on(source(path))
    assert (harvest.texts, harvest.skipped) == (["before", "after"], {"too_long": 1})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_packed_file_that_unpacks_without_end_is_left_and_other_files_are_kept(tmp_path):
    bomb = packed(
        tmp_path / "a.jsonl.gz", lines("before").encode() + b" " * 10_000_000 + b"\n" + lines("behind").encode()
    )
    good = packed(tmp_path / "b.jsonl", lines("good").encode())
    harvest = Harvest().go_on(source(tmp_path / "*.jsonl*"))
    assert (harvest.texts, harvest.skipped) == (["before", "good"], {"too_long": 1, "bomb": 1})
    again = harvest.go_on(source(bomb, good, round_=2))
    assert (again.texts, again.skipped) == (["before", "good"], {"too_long": 1, "bomb": 1})


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst"])
def test_a_packed_file_that_is_cut_off_gives_what_it_has_and_the_rest_when_it_is_whole(tmp_path, ending):
    texts = [sha256(str(i).encode()) for i in range(2_000)]
    whole = packed(tmp_path / f"a.{ending}", lines(*texts).encode())
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    harvest = Harvest().go_on(source(whole))
    assert harvest.skipped == {"broken": 1}
    assert harvest.texts == texts[: len(harvest.texts)]
    assert harvest.go_on(source(whole, round_=2)).skipped == {"broken": 1}
    whole.write_bytes(data)
    assert harvest.go_on(source(whole, round_=3)).texts == texts


def test_answers_are_checked_where_the_worked_steps_box_one(tmp_path):
    rows = [
        {"q": "1 + 1?\n", "a": "2", "t": "one and one is \\boxed{2}"},
        {"q": "1 + 2?", "a": 3, "t": "so \\boxed{4}"},
        {"q": "2 + 2?", "a": "4", "t": "no box here"},
        {"q": "", "a": "4"},
        {"q": "2 + 3?", "a": True},
    ]
    path = packed(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    columns = {"prompt": "q", "answer": "a", "trace": "t"}
    harvest = Harvest().go_on(source(path, **columns))
    assert [(row.prompt, row.answer, row.trace) for row in harvest.rows] == [
        ("1 + 1?", "2", "one and one is"),
        ("2 + 2?", "4", "no box here"),
        ("2 + 3?", "true", ""),
    ]
    assert harvest.rows[0].core == "1 + 1?"
    assert harvest.rows[0].completion(traced=True) == "one and one is \\boxed{2}"
    assert harvest.skipped == {"unverified": 1, "no_prompt": 1}
    assert len(Harvest().go_on(source(path, **columns, verifier="none")).rows) == 4


def table_of(path, texts, group=4, **columns):
    parquet.write_table(pa.table({"text": texts, **columns}), path, row_group_size=group)
    return path


def test_parquet_is_read_by_groups_and_anew_when_it_changes(tmp_path, small_steps):
    texts = [f"text {i}" for i in range(10)]
    path = table_of(tmp_path / "a.parquet", texts, other=list(range(10)))
    harvest = Harvest().go_on(source(path))
    assert harvest.go_on(source(path, round_=2)).texts == texts
    table_of(path, [*texts, "more"])
    assert harvest.go_on(source(path, round_=3)).texts == [*texts, *texts, "more"]


def test_bad_parquet_is_counted_and_its_neighbours_are_kept(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    parquet.write_table(pa.table({"other": ["x"]}), tmp_path / "b.parquet")
    table_of(tmp_path / "c.parquet", ["fine", None, "x" * (LONG + 1), "fine too"])
    harvest = Harvest().go_on(source(tmp_path / "*.parquet"))
    assert harvest.texts == ["fine", "fine too"]
    assert harvest.skipped == {"broken": 1, "no_column": 1, "no_text": 1, "too_long": 1}
    assert harvest.go_on(source(tmp_path / "*.parquet", round_=2)).skipped.total() == 4


def test_a_row_group_that_unpacks_too_far_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "EXPANSION", 100)
    values = ["x" * 100_000, "y", "small", "fine"]
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": values}), path, row_group_size=2, compression="zstd", use_dictionary=False)
    harvest = Harvest().go_on(source(path))
    assert (harvest.texts, harvest.skipped) == (["small", "fine"], {"too_long": 2})


def test_a_text_is_one_row_and_comes_again_only_when_it_changes(tmp_path):
    path = tmp_path / "a.md"
    path.write_bytes(b"\xef\xbb\xbf# Rivers\n\nThey flow.\n")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    (tmp_path / "c.txt").write_bytes(b"x" * (LONG + 1))
    (tmp_path / "d.txt").write_bytes(b"  \n")
    (tmp_path / "e.docx").write_bytes(b"a,b\n")
    harvest = Harvest().go_on(source(tmp_path / "*"))
    assert harvest.texts == ["# Rivers\n\nThey flow."]
    assert harvest.skipped == {"encoding": 1, "too_long": 1, "no_text": 1, "format": 1}
    path.touch()
    assert len(harvest.go_on(source(path, round_=2)).rows) == 1
    path.write_text("They flow on.")
    assert harvest.go_on(source(path, round_=3)).texts[1:] == ["They flow on."]


def test_a_name_that_is_no_text_names_its_rows_and_its_state(tmp_path):
    path = packed(tmp_path / "caf\udce9.jsonl", lines("one").encode())
    harvest = Harvest().go_on(source(path))
    assert harvest.rows[0].uri == f"{tmp_path}/caf\\udce9.jsonl"
    packed(path, lines("one", "two").encode())
    assert harvest.go_on(source(path, round_=2)).texts == ["one", "two"]
    assert list(harvest.state) == [harvest.rows[0].uri]


def test_paths_that_name_nothing_fail_the_source_and_a_missing_one_does_not(tmp_path):
    with pytest.raises(SourceFailed, match=r"notes: paths .*\*\.jsonl'\] match no file; correct them"):
        Harvest().go_on(source(tmp_path / "*.jsonl"))
    (tmp_path / "a.txt").write_text("here")
    (tmp_path / "folder.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")  # whoever opens it waits for a writer
    harvest = Harvest().go_on(source(tmp_path / "*.txt", tmp_path / "gone.txt"))
    assert (harvest.texts, harvest.skipped) == (["here"], {"missing": 1})


def test_a_name_with_the_signs_of_a_pattern_is_a_name_where_it_exists(tmp_path):
    folder = tmp_path / "run [2] *"
    folder.mkdir()
    for name in ("a[1].txt", "a1.txt", "b[1].txt"):
        (folder / name).write_text(name)
    assert Harvest().go_on(source(folder / "a[1].txt")).texts == ["a[1].txt"]
    assert Harvest().go_on(source(folder / "a*.txt")).texts == ["a1.txt", "a[1].txt"]
    assert Harvest().go_on(source(folder / "?[[]1].txt")).texts == ["a[1].txt", "b[1].txt"]
    assert Harvest().go_on(source(tmp_path / "*" / "a[1].txt")).texts == ["a1.txt"]
    assert Harvest().go_on(source(folder)).texts == ["a1.txt", "a[1].txt", "b[1].txt"]


TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60), max_size=25)


@settings(max_examples=30, deadline=None)
@given(
    first=TEXTS,
    second=TEXTS,
    ending=st.sampled_from(["jsonl", "jsonl.gz", "jsonl.zst", "parquet"]),
    kills=st.lists(st.integers(0, 4), max_size=8),
    size=st.integers(1, 5),
)
def test_killed_after_any_step_and_gone_on_gives_every_row_exactly_once(first, second, ending, kills, size):
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        patched.setattr(source_module, "STEP_ROWS", size)
        patched.setattr(files, "STEP_ROWS", size)
        harvest, written = Harvest(), []
        for i, texts in enumerate((first, second)):
            path = Path(folder) / (f"{i}.parquet" if ending == "parquet" else f"a.{ending}")
            written += texts
            if ending == "parquet":
                table_of(path, pa.array(texts, pa.string()), group=7)
            else:
                packed(path, lines(*written).encode())
            for steps in kills:
                harvest.go_on(source(Path(folder) / f"*.{ending}", max_bytes=1_000), steps)
            harvest.go_on(source(Path(folder) / f"*.{ending}", max_bytes=1_000))
        assert harvest.texts == [text.strip() for text in written if text.strip()]
        assert harvest.skipped.total() == sum(not text.strip() for text in written)
