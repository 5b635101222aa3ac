"""What a file of records holds is in its rows, or counted by name: in every format, and wherever it is cut off."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from schemas.sources import FilesSource
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext
from tests.harvests import Harvest

LONGEST = 5_000
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "007",
        "NA",
        " x\n",
        "\r\n",
        "\u2028",
        "\ufeffa",
        '"',
        "a,b\tc",
        "x" * LONGEST,
        "é" * LONGEST,
        "日本",
        "\0y",
    ]
)
RECORDS = st.lists(st.tuples(TEXTS, TEXTS), max_size=6)
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "json", "json.gz", "csv", "csv.zst", "tsv", "parquet", "arrow")


def written(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A file of questions and completions in the format of its suffix."""
    values = [{"q": q, "c": c} for q, c in pairs]
    kind, _, packing = path.name.partition(".")[2].partition(".")
    sink = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(values, pa.schema({"q": pa.string(), "c": pa.string()})), sink)
    elif kind == "arrow":
        table = pa.Table.from_pylist(values, pa.schema({"q": pa.string(), "c": pa.string()}))
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    elif kind in ("csv", "tsv"):
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, delimiter="," if kind == "csv" else "\t")
        writer.writerows([("q", "c"), *pairs])
        sink.write(text.getvalue().encode())
    elif kind == "json":
        sink.write(json.dumps(values, ensure_ascii=len(values) % 2 == 0).encode())
    else:
        sink.write("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode())
    data = sink.getvalue()
    if packing:
        data = gzip.compress(data) if packing == "gz" else pa.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)
    return path


def source(path: Path):
    given = {"name": "notes", "domain": "prose", "paths": [str(path)], "prompt": "q", "completion": "c"}
    return make_source(FilesSource.model_validate({**given, "max_bytes": LONGEST}), RoundContext(1))


def expected(pairs: list[tuple[str, str]], kind: str) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Rows by the documented rules (no U+0000, no line break after a question), and the others by their reason."""
    rows, skipped = [], Counter[str]()
    for question, completion in pairs:
        q, c = question.replace("\0", "").rstrip("\n"), completion.replace("\0", "")
        size = max(len(text.encode()) for text in (question, completion))
        line = len(json.dumps({"q": question, "c": completion}, ensure_ascii=False).encode()) + 1
        if size > LONGEST or (kind == "jsonl" and line > LONGEST):
            skipped["too_long"] += 1
        elif not question.strip() or not q.strip():
            skipped["no_prompt"] += 1
        elif not c.strip():
            skipped["no_completion"] += 1
        else:
            rows.append((q, c))
    return rows, skipped


@settings(max_examples=150, deadline=None)
@given(pairs=RECORDS, name=st.sampled_from(FORMATS))
def test_every_record_is_a_row_as_it_was_written_or_counted(pairs, name) -> None:
    with tempfile.TemporaryDirectory() as folder:
        harvest = Harvest().go_on(source(written(Path(folder) / f"a.{name}", pairs)))
    rows, skipped = expected(pairs, name.partition(".")[0])
    assert [(row.prompt, row.trace) for row in harvest.rows] == rows
    assert harvest.skipped == skipped


PAIRS = [(f"question {n}?", f"completion {n} — {'x' * (n % 7)}") for n in range(60)]


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=15, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_gives_its_first_rows_and_is_counted(name, share) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / f"a.{name}", PAIRS)
        data = path.read_bytes()
        cut = data[: int(share * len(data))]
        path.write_bytes(cut)
        harvest = Harvest().go_on(source(path))
    pairs = [(row.prompt, row.trace) for row in harvest.rows]
    assert pairs == PAIRS[: len(pairs)]
    whole_line = name in ("jsonl", "csv", "tsv") and cut.endswith((b"\n", b"\r", b"}", b'"'))
    if cut and not whole_line:
        assert harvest.skipped.total() >= 1


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255), name=st.sampled_from(["jsonl.gz", "csv.gz"])
)
def test_a_changed_byte_of_a_packed_file_is_no_damage_or_is_counted(share, flipped, name) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / f"a.{name}", PAIRS)
        data = bytearray(path.read_bytes())
        data[int(share * len(data))] ^= flipped
        path.write_bytes(data)
        harvest = Harvest().go_on(source(path))
    assert [(row.prompt, row.trace) for row in harvest.rows] == PAIRS or harvest.skipped.total() >= 1
