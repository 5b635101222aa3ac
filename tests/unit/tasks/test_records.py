"""Files of records: every format, exact values, and damage that is counted where it lies."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import tracemalloc
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tasks import records as module
from tasks.formats import Unreadable, text_of
from tasks.records import FileUnreadable, fingerprint, format_of, records

ROWS = [{"question": "1+1", "answer": 2}, {"question": "é\u2028x", "answer": "0.10"}]


def rows(path: Path) -> list[Any]:
    """The records of a file; in place of one that cannot be read, its reason."""
    return [row.reason if isinstance(row, Unreadable) else row for row in records(path)]


def texts(path: Path) -> list[Any]:
    return [
        row if isinstance(row, str) else {name: text_of(value) for name, value in row.items()} for row in rows(path)
    ]


def file(folder: Path, name: str, content: bytes | str) -> Path:
    data = content.encode() if isinstance(content, str) else content
    if name.endswith(".gz"):
        data = gzip.compress(data)
    if name.endswith(".zst"):
        data = pa.Codec("zstd").compress(data).to_pybytes()
    (folder / name).write_bytes(data)
    return folder / name


def lines(values) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines(ROWS)),
        ("a.ndjson", "\n" + lines(ROWS) + "  \r\n"),
        ("a.JSONL", "\ufeff" + lines(ROWS).rstrip()),
        ("a.json", json.dumps(ROWS, indent=1)),
        ("a.json", json.dumps({"version": 1, "data": ROWS})),
        ("a.json", lines(ROWS)),
    ],
)
def test_json_lines_and_arrays_plain_and_compressed(tmp_path, name, content, suffix):
    assert rows(file(tmp_path, name + suffix, content)) == ROWS


def test_an_object_alone_is_one_record(tmp_path):
    assert rows(file(tmp_path, "a.json", json.dumps(ROWS[0]))) == [ROWS[0]]


def test_numbers_keep_their_spelling_and_nan_is_a_missing_value(tmp_path):
    path = file(tmp_path, "a.jsonl", '{"a": 0.10, "b": 1E400, "c": 9007199254740993, "d": NaN, "e": true}\n')
    assert texts(path) == [{"a": "0.10", "b": "1E400", "c": "9007199254740993", "d": "", "e": "true"}]


def test_a_damaged_line_spoils_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORD", 100)
    bad = [
        b'{"a": \n',
        b"{'a': 1}\n",
        '{"a": "Stra\u00dfe"}\n'.encode("latin-1"),
        b"[1]\n",
        b'"text"\n',
        b'{"a": ' + b"[" * 40 + b"\n",
        b'{"a": "' + b"x" * 350 + b'"}\n',
        b'{"n": ' + b"9" * 50 + b"}\n",
    ]
    path = file(tmp_path, "a.jsonl", b'{"a": 0}\n' + b'{"a": 1}\n'.join(bad) + b'{"a": 2}')
    read = rows(path)
    assert [row["a"] for row in read if isinstance(row, dict) and "a" in row] == [0, *[1] * (len(bad) - 1), 2]
    counted = Counter(row for row in read if isinstance(row, str))
    assert counted == {"not_json": 3, "encoding": 1, "not_an_object": 2, "too_long": 1}


def test_json_that_is_nested_too_deep_is_refused_by_name(tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    assert rows(file(tmp_path, "a.jsonl", f'{{"a": {deep}}}\n{{"a": 1}}\n')) == ["not_json", {"a": 1}]
    with pytest.raises(FileUnreadable, match=r"a\.json: it is nested too deep; write one object per line"):
        rows(file(tmp_path, "a.json", deep))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{'a': 1}]", "no JSON .* write an array of objects"),
        ('[{"a": 1}', "no JSON"),
        ("7", "holds no array of objects"),
        ("", "no JSON"),
        ("ÿþ".encode("latin-1"), "no JSON"),
    ],
)
def test_a_file_that_is_no_array_is_refused(tmp_path, content, message):
    with pytest.raises(FileUnreadable, match=message):
        rows(file(tmp_path, "a.json", content))


def test_an_array_that_is_too_large_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_ARRAY", 10)
    with pytest.raises(FileUnreadable, match=r"larger than 10 bytes; write one object per line, as \.jsonl"):
        rows(file(tmp_path, "a.json", json.dumps(ROWS)))


def test_an_entry_of_an_array_that_is_no_object_is_counted(tmp_path):
    assert rows(file(tmp_path, "a.json", json.dumps([{"a": 1}, "x", [2]]))) == [
        {"a": 1},
        "not_an_object",
        "not_an_object",
    ]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_that_is_cut_off_gives_its_good_lines_and_is_named(tmp_path, suffix):
    numbers = [{"n": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(5000)]
    path = file(tmp_path, f"a.jsonl{suffix}", lines(numbers))
    path.write_bytes(path.read_bytes()[:-200])
    good = list[object]()
    with pytest.raises(FileUnreadable, match=r"a\.jsonl\.(gz|zst): (EOFError|OSError): .*; the file is damaged"):
        good.extend(records(path))
    assert good == numbers[: len(good)]
    assert len(good) > 3000


def test_a_damaged_gzip_file_is_named(tmp_path):
    path = file(tmp_path, "a.jsonl.gz", lines([{"n": str(n * 7919)} for n in range(5000)]))
    data = bytearray(path.read_bytes())
    data[2000:2010] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(FileUnreadable, match=r"a\.jsonl\.gz: .*; the file is damaged"):
        rows(path)
    (tmp_path / "b.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(FileUnreadable, match=r"b\.csv\.gz: BadGzipFile"):
        rows(tmp_path / "b.csv.gz")


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_csv_keeps_the_text_between_the_separators(tmp_path, suffix):
    content = '\ufeffquestion, answer,note\r\n007,1.50,NA\r\n"a, ""b""\nc",True,\r\n\r\n9007199254740993,1e3,"x"\r\n'
    assert rows(file(tmp_path, f"a.csv{suffix}", content)) == [
        {"question": "007", "answer": "1.50", "note": "NA"},
        {"question": 'a, "b"\nc', "answer": "True", "note": ""},
        {"question": "9007199254740993", "answer": "1e3", "note": "x"},
    ]


def test_tsv_is_separated_by_tabs(tmp_path):
    assert rows(file(tmp_path, "a.tsv", "q\ta\n1, 2\tb\n")) == [{"q": "1, 2", "a": "b"}]


def test_csv_rows_that_do_not_fit_are_counted_by_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORD", 50)
    content = b'q,a\n1,2\n1,2,3\n1\n"x"y,2\nStra\xdfe,2\n' + b"x" * 60 + b",2\n3,4\n"
    assert rows(file(tmp_path, "a.csv", content)) == [
        {"q": "1", "a": "2"},
        "columns",
        "columns",
        "quotes",
        "encoding",
        "too_long",
        {"q": "3", "a": "4"},
    ]


def test_a_quote_that_is_never_closed_is_counted(tmp_path):
    assert rows(file(tmp_path, "a.csv", 'q,a\n1,2\n3,"4\n5,6\n')) == [{"q": "1", "a": "2"}, "quotes"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no header"),
        ("\n", "no header"),
        ("a,b,a\n1,2,3\n", "two columns have the name 'a'"),
        ("a,b, a\n", "name 'a'"),
    ],
)
def test_a_csv_without_distinct_column_names_is_refused(tmp_path, content, message):
    with pytest.raises(FileUnreadable, match=message):
        rows(file(tmp_path, "a.csv", content))


def table(**columns) -> pa.Table:
    return pa.table(columns)


def written(folder: Path, table: pa.Table) -> Path:
    parquet.write_table(table, folder / "a.parquet")
    return folder / "a.parquet"


def test_parquet_values_are_exact(tmp_path):
    path = written(
        tmp_path,
        table(
            single=pa.array([0.1, float("nan"), None, 1e20], pa.float32()),
            half=pa.array([0.5, 1.0, None, 2.0], pa.float16()),
            double=pa.array([0.1, 1e22, None, float("inf")], pa.float64()),
            whole=pa.array([9007199254740993, None, 0, -1], pa.int64()),
            price=pa.array([Decimal("1.50"), None, Decimal("-0.05"), Decimal("100.00")], pa.decimal128(9, 2)),
            day=pa.array([date(2024, 2, 29), None, date(1, 1, 1), date(9999, 12, 31)], pa.date32()),
            moment=pa.array([datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), None, None, None], pa.timestamp("ms", "UTC")),
            name=pa.array(["a", None, "a", "b"]).dictionary_encode(),
            large=pa.array(["é", "", None, "x"], pa.large_string()),
        ),
    )
    first, second, third, last = texts(path)
    assert first == {
        "single": "0.1",
        "half": "0.5",
        "double": "0.1",
        "whole": "9007199254740993",
        "price": "1.50",
        "day": "2024-02-29",
        "moment": "2024-02-29T01:02:03+00:00",
        "name": "a",
        "large": "é",
    }
    assert rows(path)[1]["single"] is None
    assert (second["single"], second["double"], second["whole"], second["name"]) == ("", "1e+22", "", "")
    assert (third["price"], third["day"]) == ("-0.05", "0001-01-01")
    assert (last["single"], last["double"], last["day"]) == ("1e+20", "inf", "9999-12-31")


def test_text_that_is_no_utf8_spoils_its_row_alone(tmp_path):
    bad = pa.array([b"ok", b"Stra\xdfe", b"fine"], pa.binary())
    nested = pa.ListArray.from_arrays([0, 1, 2, 3], pa.array([b"x", b"y", b"\xff"], pa.binary()).view(pa.string()))
    words = pa.DictionaryArray.from_arrays([0, 0, 0], pa.array(["d"]))
    path = written(tmp_path, table(text=bad.view(pa.string()), nested=nested, words=words, n=[1, 2, 3]))
    assert rows(path) == [{"text": "ok", "nested": ["x"], "words": "d", "n": 1}, "encoding", "encoding"]


def test_a_date_that_python_does_not_have_spoils_its_row_alone(tmp_path):
    path = written(tmp_path, table(day=pa.array([0, 4_000_000], pa.int32()).cast(pa.date32()), n=[1, 2]))
    assert rows(path) == [{"day": date(1970, 1, 1), "n": 1}, "not_text"]


def test_a_parquet_file_that_is_damaged_or_has_equal_names_is_refused(tmp_path):
    path = written(tmp_path, table(n=list(range(1000))))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileUnreadable, match=r"a\.parquet: .*; write the Parquet file again"):
        rows(path)
    doubled = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(FileUnreadable, match="two columns have the name 'a'"):
        rows(written(tmp_path, doubled))


def test_arrow_files_and_streams(tmp_path):
    data = table(q=["a", "b"])
    for name, writer in (("a.arrow", pa.ipc.new_stream), ("b.arrow", pa.ipc.new_file)):
        with writer(str(tmp_path / name), data.schema) as opened:
            opened.write_table(data)
        assert rows(tmp_path / name) == [{"q": "a"}, {"q": "b"}]
    (tmp_path / "c.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(FileUnreadable, match=r"c\.arrow"):
        rows(tmp_path / "c.arrow")


def test_a_folder_of_save_to_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"q": ["a", "b", "c"], "n": [1, 2, 3]}).select([2, 0])
    made.save_to_disk(tmp_path / "one", num_shards=2)
    assert rows(tmp_path / "one") == [{"q": "c", "n": 3}, {"q": "a", "n": 1}]
    datasets.DatasetDict(train=made, test=made).save_to_disk(tmp_path / "both")
    with pytest.raises(FileUnreadable, match=r"several splits \(train, test\); name one, as both/train"):
        rows(tmp_path / "both")
    assert len(rows(tmp_path / "both" / "test")) == 2


def test_a_folder_that_is_not_whole_is_refused_by_name(tmp_path):
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(FileUnreadable, match="KeyError: '_data_files'; the file is damaged"):
        rows(tmp_path)
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "gone.arrow"}]}')
    with pytest.raises(FileUnreadable, match=r"gone\.arrow: does not exist"):
        rows(tmp_path)


def test_a_folder_of_data_files_is_read_in_the_order_of_names(tmp_path):
    file(tmp_path, "part-1.csv", "q\nb\n")
    file(tmp_path, "part-0.csv", "q\na\n")
    file(tmp_path, "README.md", "# about")
    file(tmp_path, "dataset_infos.json", "{}")
    assert rows(tmp_path) == [{"q": "a"}, {"q": "b"}]


def test_the_files_of_a_repository_lie_in_its_folder_data(tmp_path):
    (tmp_path / "data").mkdir()
    for shard in (0, 1):
        file(tmp_path / "data", f"train-0000{shard}-of-00002.jsonl", lines([{"n": shard}]))
    file(tmp_path, "README.md", "# about")
    assert rows(tmp_path) == [{"n": 0}, {"n": 1}]


def test_a_folder_of_several_splits_is_refused(tmp_path):
    file(tmp_path, "train.csv", "q\na\n")
    file(tmp_path, "test.csv", "q\nb\n")
    with pytest.raises(
        FileUnreadable, match=rf"several splits \(test\.csv, train\.csv\); name one, as {tmp_path.name}/"
    ):
        rows(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", r"\.txt is no known format; use \.jsonl"),
        ("plain", "no suffix is no known format"),
        ("a.gz", r"\.gz is no known format"),
        ("a.parquet.gz", r"\.parquet is not read compressed; unpack it"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FileUnreadable, match=message):
        format_of(tmp_path / name)


def test_an_absent_file_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(FileUnreadable, match="does not exist; correct the name"):
        rows(tmp_path / "a.jsonl")
    with pytest.raises(FileUnreadable, match="no data file lies in it"):
        rows(tmp_path)


def test_a_large_file_is_read_in_bounded_memory(tmp_path):
    line = json.dumps({"question": "x" * 1000, "answer": "1"}) + "\n"
    path = tmp_path / "a.jsonl"
    with path.open("w") as opened:
        opened.writelines(line for _ in range(30_000))
    assert path.stat().st_size > 30_000_000
    tracemalloc.start()
    assert sum(1 for _ in records(path)) == 30_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_the_hash_covers_names_and_contents(tmp_path):
    one = file(tmp_path, "a.jsonl", "{}\n")
    before = fingerprint(one)
    assert len(before) == 64
    one.write_text("{} \n")
    assert fingerprint(one) != before
    whole = fingerprint(tmp_path)
    one.rename(tmp_path / "b.jsonl")
    assert fingerprint(tmp_path) != whole


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(st.characters(codec="utf-8")), parts),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON), max_size=5)


@settings(max_examples=60)
@given(OBJECTS, st.sampled_from([".jsonl", ".json", ".jsonl.gz", ".jsonl.zst"]))
def test_json_comes_out_as_it_went_in(tmp_path_factory, values, suffix):
    content = lines(values) if suffix != ".json" else json.dumps(values)
    assert rows(file(tmp_path_factory.getbasetemp(), f"a{suffix}", content)) == values


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_csv_comes_out_as_it_went_in(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, quoting=csv.QUOTE_ALL).writerows([("q", "a"), *values])
    assert [(row["q"], row["a"]) for row in rows(path)] == values


@settings(max_examples=100)
@given(OBJECTS, st.integers(0, 400), st.binary(max_size=4), st.sampled_from([".jsonl", ".json", ".csv", ".jsonl.gz"]))
def test_damage_raises_nothing_but_the_files_own_error(tmp_path_factory, values, at, damage, suffix):
    path = file(tmp_path_factory.getbasetemp(), f"a{suffix}", lines(values))
    data = path.read_bytes()
    path.write_bytes(data[:at] + damage + data[at + len(damage) :][: at * 2])
    try:
        read: list[object] = list(records(path))
    except FileUnreadable as error:
        read = [str(error)]
    assert all(isinstance(row, (dict, Unreadable, str)) for row in read)
