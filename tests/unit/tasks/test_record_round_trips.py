"""What is written to a file comes out of it, or is refused or counted by name: every reader, type, encoding and cut."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import string
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tasks.formats import Unreadable, plain, text_of
from tasks.records import FileUnreadable, records

PACKINGS = ("", ".gz", ".zst")
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "007",
        "1.50",
        "NA",
        "True",
        " x ",
        "a\r\nb",
        "\u2028\x85\x1c",
        "\ufeff",
        'say "yes", ok',
        "\\n",
        "-",
        "日本",
        "\t",
    ]
)
NUMBER = st.from_regex(r"\A-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?\Z").filter(str.isascii)


def read(path: Path) -> list[Any]:
    """The records of a file, the reasons of those that cannot be read, and last that of the file, if it has one."""
    outcome: list[Any] = []
    try:
        outcome += (one.reason if isinstance(one, Unreadable) else one for one in records(path))
    except FileUnreadable as error:
        outcome.append(str(error))
    return outcome


Place = Callable[[str, bytes], Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("round_trips")

    def write(name: str, data: bytes) -> Path:
        if name.endswith(".gz"):
            data = gzip.compress(data)
        if name.endswith(".zst"):
            data = pa.compress(data, codec="zstd", asbytes=True)
        (folder / name).write_bytes(data)
        return folder / name

    return write


# --- Values ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(NUMBER, min_size=1, max_size=5), st.sampled_from(["jsonl", "json"]), st.sampled_from(PACKINGS))
def test_a_number_of_json_keeps_its_digits(place, numbers, suffix, packing) -> None:
    objects = [f'{{"n": {number}}}' for number in numbers]
    content = "\n".join(objects) if suffix == "jsonl" else f"[{','.join(objects)}]"
    outcome = read(place(f"n.{suffix}{packing}", content.encode()))
    assert [text_of(record["n"]) for record in outcome] == [_whole(number) for number in numbers]


def _whole(number: str) -> str:
    return str(int(number)) if number.lstrip("-").isdigit() else number


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), max_size=4),
    st.sampled_from(["csv", "tsv"]),
    st.sampled_from(PACKINGS),
    # With line feeds alone, Python's writer leaves a carriage return bare unless it quotes everything.
    st.sampled_from([(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]),
    st.booleans(),
)
@example([("", "")], "csv", "", (csv.QUOTE_MINIMAL, "\r\n"), True)
def test_a_value_of_a_table_is_its_text(place, values, suffix, packing, style, mark) -> None:
    quoting, end = style
    table = io.StringIO(newline="")
    writer = csv.writer(table, delimiter="," if suffix == "csv" else "\t", quoting=quoting, lineterminator=end)
    writer.writerows([("q", "a"), *values])
    content = table.getvalue().encode("utf-8-sig" if mark else "utf-8")
    assert read(place(f"t.{suffix}{packing}", content)) == [{"q": q, "a": a} for q, a in values]


SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
MOMENT = st.datetimes(timezones=st.just(UTC))
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    **{
        f"int{bits}": (getattr(pa, f"int{bits}")(), _ints)
        for bits, _ints in (
            (8, st.integers(-128, 127)),
            (16, st.integers(-(2**15), 2**15 - 1)),
            (64, st.integers(-(2**63), 2**63 - 1)),
        )
    },
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "float32": (pa.float32(), SINGLE),
    "decimal": (pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3, allow_nan=False)),
    "string": (pa.string(), TEXT),
    "large_string": (pa.large_string(), TEXT),
    "date": (pa.date32(), st.dates()),
    "time": (pa.time64("us"), st.times()),
    "microseconds": (pa.timestamp("us", "UTC"), MOMENT),
    "list": (pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
    "struct": (
        pa.struct({"a": pa.int64(), "b": pa.string()}),
        st.fixed_dictionaries({"a": st.integers(0, 9), "b": TEXT}),
    ),
    "nested": (
        pa.list_(pa.list_(pa.float64())),
        st.lists(st.lists(st.floats(allow_nan=False), max_size=2), max_size=2),
    ),
    "null": (pa.null(), st.none()),
}
FORMS = ("parquet", "stream", "file", "dictionary")


def _write(place: Place, form: str, table: pa.Table) -> Path:
    sink = io.BytesIO()
    if form == "parquet":
        parquet.write_table(table, sink)
        return place("a.parquet", sink.getvalue())
    with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return place("a.arrow", sink.getvalue())


def _spelt(kind: str, value: Any) -> Any:
    """How a value is spelt, by Python's and numpy's own rules."""
    if value is None:
        return ""
    if kind == "float32":
        return str(np.float32(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, (int, str)) else repr(value)


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(sorted(TYPES)), st.sampled_from(FORMS))
def test_a_value_of_arrow_is_exact_whatever_its_type(place, data, kind, form) -> None:
    arrow, values = TYPES[kind]
    given_values = data.draw(st.lists(st.none() | values, min_size=1, max_size=5))
    column = pa.array(given_values, arrow)
    if form == "dictionary" and kind in ("string", "int64"):
        column = column.dictionary_encode()
    outcome = read(_write(place, form, pa.table({"v": column, "n": range(len(given_values))})))
    assert [record["n"] for record in outcome] == list(range(len(given_values)))
    for record, value in zip(outcome, given_values, strict=True):
        if kind in ("list", "struct", "nested"):
            assert record["v"] == value
            assert plain(record["v"]) == _json(value)
        else:
            assert text_of(record["v"]) == _spelt(kind, value)


def _json(value: Any) -> Any:
    """A structure with infinities as text, which JSON has no number for."""
    if isinstance(value, dict):
        return {name: _json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_json(part) for part in value]
    return repr(value) if isinstance(value, float) and math.isinf(value) else value


@settings(deadline=None)
@given(st.integers(-(2**62), 2**62), st.sampled_from(["ns", "us", "ms", "s"]))
def test_a_moment_is_exact_or_counted(place, count, unit) -> None:
    table = pa.table({"v": pa.array([count], pa.int64()).cast(pa.timestamp(unit))})
    (outcome,) = read(_write(place, "stream", table))
    if isinstance(outcome, str):
        assert outcome == "not_text"
        return
    per_second = {"ns": 10**9, "us": 10**6, "ms": 10**3, "s": 1}[unit]
    moment = datetime.fromisoformat(text_of(outcome["v"])[:26]).replace(tzinfo=UTC)
    since = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert since == count * 10**6 // per_second
    assert unit != "ns" or count % 1000 == 0 or text_of(outcome["v"]).endswith(f"{count % 1000:03}")


# --- Encodings ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.text(string.ascii_letters + "éüß日本", min_size=1, max_size=8), st.sampled_from(["latin-1", "utf-16", "cp1252"])
)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv"])
def test_text_of_another_encoding_is_refused_or_counted_and_never_changed(place, suffix, text, encoding) -> None:
    separator = "\t" if suffix == "tsv" else ","
    lines = {"jsonl": f'{{"q": "{text}", "a": "1"}}\n', "json": f'[{{"q": "{text}", "a": "1"}}]'}
    content = lines.get(suffix, f"q{separator}a\n{text}{separator}1\n")
    data = content.encode(encoding, errors="replace")
    outcome = read(place(f"e.{suffix}", data))
    if data.isascii():
        assert outcome == read(place(f"f.{suffix}", content.encode("ascii", errors="replace")))
        assert isinstance(outcome[0], dict)
    else:
        assert outcome
        assert all(isinstance(one, str) for one in outcome)


@settings(deadline=None)
@given(st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2), st.sampled_from(["jsonl", "json"]))
def test_half_a_surrogate_pair_is_counted(place, half, suffix) -> None:
    value = json.dumps([{"q": f"{half}"}])
    (record,) = read(place(f"s.{suffix}", (value if suffix == "json" else value[1:-1]).encode()))
    try:
        record["q"].encode()
    except UnicodeEncodeError:
        with pytest.raises(Unreadable, match="encoding"):
            text_of(record["q"])
    else:  # two halves that make a character
        assert text_of(record["q"]) == half.encode("utf-16", "surrogatepass").decode("utf-16")


# --- Damage and cut-offs --------------------------------------------------------------------------

VALUES = [{"q": f"question {n} — {'x' * (n % 7)}", "a": str(n)} for n in range(40)]


def _whole_file(name: str) -> bytes:
    if name.startswith("jsonl"):
        return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in VALUES).encode()
    if name.startswith("json"):
        return json.dumps(VALUES).encode()
    table = io.StringIO(newline="")
    writer = csv.writer(table, quoting=csv.QUOTE_ALL, delimiter="\t" if name.startswith("tsv") else ",")
    writer.writerows([("q", "a"), *(value.values() for value in VALUES)])
    return table.getvalue().encode()


NAMES = [f"{suffix}{packing}" for suffix in ("jsonl", "json", "csv", "tsv") for packing in PACKINGS]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_gives_its_first_records_and_nothing_else(place, name, share) -> None:
    path = place(f"c.{name}", _whole_file(name))
    data = path.read_bytes()
    cut = int(share * len(data))
    path.write_bytes(data[:cut])
    outcome = read(path)
    good = [one for one in outcome if isinstance(one, dict)]
    if data[:cut].endswith((b",", b"\t")) and name in ("csv", "tsv"):  # as a last line whose last value is empty
        assert good.pop() == {**VALUES[len(good)], "a": ""}
    assert good == VALUES[: len(good)]
    faults = [one for one in outcome if isinstance(one, str)]
    assert len(faults) <= 2
    assert outcome[: len(good)] == good
    if name == "json" or name.startswith("json.") or (cut and name.endswith((".gz", ".zst"))):
        assert faults


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".gz")])
@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_a_packed_file_with_a_changed_byte_is_whole_or_named(place, name, share, flipped) -> None:
    path = place(f"d.{name}", _whole_file(name))
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= flipped
    path.write_bytes(data)
    outcome = read(path)
    assert outcome == VALUES or isinstance(outcome[-1], str)


@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_of_arrow_that_is_cut_off_gives_its_first_records_and_is_named(place, form, share) -> None:
    path = _write(place, form, pa.Table.from_pylist(VALUES))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    outcome = read(path)
    good = [one for one in outcome if isinstance(one, dict)]
    assert good == VALUES[: len(good)]
    assert len(outcome) - len(good) == 1 or (form == "stream" and good == VALUES)


def test_a_folder_of_save_to_disk_gives_its_values_or_names_its_fault(tmp_path) -> None:
    from datasets import Dataset

    values = [{"q": "é\n", "n": 9007199254740993, "f": 0.1, "l": ["a"], "d": {"x": None}} for _ in range(3)]
    Dataset.from_list(values).save_to_disk(str(tmp_path / "saved"))
    assert read(tmp_path / "saved") == values
    part = next((tmp_path / "saved").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:-400])
    outcome = read(tmp_path / "saved")
    assert isinstance(outcome[-1], str)
    assert [one for one in outcome if isinstance(one, dict)] == values[: len(outcome) - 1]
