"""WARC files: every readable record once, whatever lies between them."""

import gzip
import zlib
from pathlib import Path

import brotli
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.sources import WarcSource
from services.data.sources import source as source_module
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext
from tests.harvests import Harvest
from tests.web_server import article, bomb

LIMIT = 20_000


def source(path, round_=1):
    given = {"name": "crawl", "domain": "prose", "paths": [str(path)], "max_bytes": LIMIT, "licence": "unknown"}
    return make_source(WarcSource.model_validate(given), RoundContext(round_))


def record(uri, payload, kind="response", length=None, content="application/http; msgtype=response"):
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n"
    head += f"WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>\r\nContent-Type: {content}\r\n"
    return head.encode() + f"Content-Length: {length or len(payload)}\r\n\r\n".encode() + payload + b"\r\n\r\n"


def answer(body, status="200 OK", kind="text/html; charset=utf-8", headers=""):
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}\r\n".encode() + body


def page(about):
    return record(f"http://example.org/{about}", answer(article(about)))


PACK = {
    "warc": lambda data: data,
    "warc.gz": gzip.compress,
    "warc.zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


def write(path: Path, records: list[bytes]) -> Path:
    pack = PACK[path.name.partition(".")[2]]
    path.write_bytes(b"".join(pack(one) for one in records))
    return path


def abouts(harvest):
    return [row.trace.splitlines()[0] for row in harvest.rows]


@pytest.mark.parametrize("ending", PACK)
def test_recorded_pages_become_rows_and_appended_ones_follow(tmp_path, ending):
    info = record("", b"software: test\r\n", "warcinfo", content="application/warc-fields")
    asked = record("http://example.org/a", b"GET /a HTTP/1.1\r\n\r\n", "request")
    path = write(tmp_path / f"a.{ending}", [info, asked, page("Mills"), page("Wheels")])
    harvest = Harvest().go_on(source(path))
    assert abouts(harvest) == ["Mills", "Wheels"]
    row = harvest.rows[0]
    assert (row.uri, row.fetched_at, row.licence) == (
        "http://example.org/Mills",
        "2024-05-06T07:08:09+00:00",
        "unknown",
    )
    steps = harvest.steps
    assert harvest.go_on(source(path, 2)).steps == steps
    write(path, [info, asked, page("Mills"), page("Wheels"), page("Water")])
    assert abouts(harvest.go_on(source(path, 3))) == ["Mills", "Wheels", "Water"]
    write(path, [page("Other"), page("Mills")])
    assert abouts(harvest.go_on(source(path, 4)))[3:] == ["Other", "Mills"]


def test_texts_of_wet_files_are_taken_as_they_are(tmp_path):
    path = write(
        tmp_path / "a.warc.gz", [record("http://a/", "Über Flüsse\n".encode(), "conversion", content="text/plain")]
    )
    assert Harvest().go_on(source(path)).texts == ["Über Flüsse"]


def chunked(body, size=60, extension=b""):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%X%s\r\n%s\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n\r\n"


def raw(body):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def zstd(body):
    return pa.compress(body, codec="zstd", asbytes=True)


PAGE = article("Mills")
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chunked(PAGE), CHUNKED),
        (chunked(PAGE), "TRANSFER-ENCODING: Chunked\r\n"),
        (chunked(PAGE, extension=b" ; name=value"), CHUNKED),
        (chunked(PAGE)[:-2] + b"Trailer: x\r\n\r\n", CHUNKED),
        (chunked(PAGE).replace(b"\r\n", b"\n"), CHUNKED),
        (PAGE, CHUNKED),  # without its chunks in whoever recorded it
        (gzip.compress(PAGE), CHUNKED + "Content-Encoding: gzip\r\n"),
        (chunked(gzip.compress(PAGE)), CHUNKED + "Content-Encoding: gzip\r\n"),
        (chunked(gzip.compress(PAGE)), "Transfer-Encoding: gzip, chunked\r\n"),
        (gzip.compress(PAGE), "Content-Encoding: gzip\r\n"),
        (gzip.compress(PAGE), "CONTENT-ENCODING: X-GZIP\r\n"),
        (gzip.compress(PAGE), ""),
        (gzip.compress(PAGE[:99]) + gzip.compress(PAGE[99:]) + b"\r\n\0", "Content-Encoding: gzip\r\n"),
        (gzip.compress(gzip.compress(PAGE)), "Content-Encoding: gzip, gzip\r\n"),
        (zlib.compress(PAGE), "Content-Encoding: deflate\r\n"),
        (raw(PAGE), "Content-Encoding: deflate\r\n"),
        (gzip.compress(PAGE), "Content-Encoding: deflate\r\n"),
        (zstd(PAGE), "Content-Encoding: zstd\r\n"),
        (zstd(PAGE[:99]) + zstd(PAGE[99:]), ""),
        (brotli.compress(PAGE), "content-encoding: BR\r\n"),
        (brotli.compress(gzip.compress(PAGE)), "Content-Encoding: gzip, br\r\n"),
        *((PAGE, f"Content-Encoding: {name}\r\n") for name in ("gzip", "deflate", "br", "zstd", "identity", "utf-8")),
    ],
)
def test_packed_answers_are_unpacked(tmp_path, body, headers):
    path = write(tmp_path / "a.warc.gz", [record("http://a/", answer(body, headers=headers)), page("Wheels")])
    harvest = Harvest().go_on(source(path))
    assert (abouts(harvest), harvest.skipped) == (["Mills", "Wheels"], {})
    assert b"\r\n3c" not in harvest.rows[0].trace.encode()


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (gzip.compress(PAGE)[:-20], "gzip", "broken"),
        (gzip.compress(PAGE) + b"rubbish", "gzip", "broken"),
        (PAGE[:9] + bytes(range(99)), "gzip", "broken"),
        (zlib.compress(PAGE)[:-20], "deflate", "broken"),
        (raw(PAGE)[:-20], "deflate", "broken"),
        (raw(PAGE) + raw(PAGE), "deflate", "broken"),
        (zstd(PAGE)[:-20], "zstd", "broken"),
        (brotli.compress(PAGE)[:-20], "br", "broken"),
        (bytes(range(99)), "compress", "packing"),
        (zstd(b" " * 1_000_000), "zstd", "too_long"),
        (brotli.compress(b" " * 1_000_000), "br", "too_long"),
        (raw(b" " * 1_000_000), "deflate", "too_long"),
    ],
)
def test_an_answer_that_cannot_be_unpacked_is_counted_by_its_reason(tmp_path, body, coding, reason):
    bad = record("http://a/", answer(body, headers=f"Content-Encoding: {coding}\r\n"))
    harvest = Harvest().go_on(source(write(tmp_path / "a.warc.gz", [bad, page("Wheels")])))
    assert (abouts(harvest), harvest.skipped) == (["Wheels"], {reason: 1})


@pytest.mark.parametrize(
    "body", [chunked(PAGE)[:-30], chunked(PAGE)[:-5], chunked(PAGE).replace(b"\r\n3C", b"\r\n40", 1)]
)
def test_chunks_that_are_cut_off_or_damaged_are_broken(tmp_path, body):
    path = write(tmp_path / "a.warc.gz", [record("http://a/", answer(body, headers=CHUNKED)), page("Wheels")])
    harvest = Harvest().go_on(source(path))
    assert (abouts(harvest), harvest.skipped) == (["Wheels"], {"broken": 1})


@pytest.mark.parametrize("padding", [b"\r\n", b"\r\n\r\n", b"\0" * 3_000_000])
def test_line_ends_and_zeros_between_and_behind_gzip_members_are_no_damage(tmp_path, padding):
    members = [gzip.compress(page(about)) + padding for about in ("Mills", "Wheels", "Water")]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    harvest = Harvest().go_on(source(tmp_path / "a.warc.gz"))
    assert (abouts(harvest), harvest.skipped) == (["Mills", "Wheels", "Water"], {})
    assert abouts(harvest.go_on(source(tmp_path / "a.warc.gz", 2))) == ["Mills", "Wheels", "Water"]


@pytest.mark.parametrize("between", [b"", b"\r\n", b"rubbish"])
def test_a_whole_gzip_member_that_holds_no_record_is_broken(tmp_path, between):
    members = [
        gzip.compress(page("Mills")),
        gzip.compress(b"WARC/1.0\r\nWARC-Type: response\r\n\r\nno length"),
        gzip.compress(page("Water")),
    ]
    (tmp_path / "a.warc.gz").write_bytes(between.join(members))
    harvest = Harvest().go_on(source(tmp_path / "a.warc.gz"))
    assert abouts(harvest) == ["Mills", "Water"]
    assert harvest.skipped == {"broken": 2 if between == b"rubbish" else 1}


def test_names_of_headers_have_no_case(tmp_path):
    lower = page("Mills").replace(b"WARC-Type", b"warc-type").replace(b"WARC-Target-URI", b"WARC-TARGET-URI")
    upper = page("Wheels").replace(b"WARC-Type", b"WARC-TYPE").replace(b"WARC-Date", b"warc-date")
    harvest = Harvest().go_on(source(write(tmp_path / "a.warc.gz", [lower, upper])))
    assert abouts(harvest) == ["Mills", "Wheels"]
    assert [(row.uri, row.fetched_at[:10]) for row in harvest.rows] == [
        ("http://example.org/Mills", "2024-05-06"),
        ("http://example.org/Wheels", "2024-05-06"),
    ]


BAD = {
    "status": record("http://a/", answer(article("x"), status="404 Not Found")),
    "type": record("http://a/", answer(b"GIF89a", kind="image/gif")),
    "encoding": record("http://a/", answer(bytes(range(256)) * 20, kind="text/plain; charset=utf-8")),
    "no_text": record("http://a/", answer(b"<html><body></body></html>")),
    "too_long": record("http://a/", answer(b"x" * (LIMIT + 1))),
    "broken": record("http://a/", b"what is this"),
}


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_is_counted_and_its_neighbours_are_kept(tmp_path, reason, ending):
    path = write(tmp_path / f"a.{ending}", [page("Before"), BAD[reason], page("After")])
    harvest = Harvest().go_on(source(path))
    assert (abouts(harvest), harvest.skipped) == (["Before", "After"], {reason: 1})


def test_a_record_that_unpacks_without_end_is_refused(tmp_path):
    inner = record("http://a/", answer(bomb(), headers="Content-Encoding: gzip\r\n"))
    inner = (
        inner
        if len(inner) < LIMIT
        else record("http://a/", answer(bomb(5_000_000), headers="Content-Encoding: gzip\r\n"))
    )
    outer = record("http://a/", answer(b" " * 50_000_000))
    behind = page("Trailing") + b" " * 50_000_000
    path = write(
        tmp_path / "a.warc.gz", [page("Before"), inner, page("Between"), outer, page("Next"), behind, page("After")]
    )
    harvest = Harvest().go_on(source(path))
    assert abouts(harvest) == ["Before", "Between", "Next", "Trailing", "After"]
    assert harvest.skipped == {"too_long": 2, "broken": 1}


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        ("warc.gz", lambda packed: packed[:40] + b"x" * 40 + packed[80:]),
        ("warc.gz", lambda packed: packed[:-60]),
        ("warc.gz", lambda packed: packed[:5]),
        ("warc.zst", lambda packed: packed[:40] + b"x" * 40 + packed[80:]),
        ("warc", lambda plain: plain.replace(b"Content-Length: ", b"Content-Length: 9")),
        ("warc", lambda plain: plain.replace(b"WARC/1.0", b"CRAW/1.0")),
        ("warc", lambda plain: plain[:-300]),
    ],
)
def test_behind_a_damaged_record_the_next_is_found(tmp_path, ending, damage):
    damaged = damage(PACK[ending](page("Damaged")))
    parts = [PACK[ending](page("Before")), damaged, *(PACK[ending](page(f"After {i}")) for i in range(2))]
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"".join(parts))
    harvest = Harvest().go_on(source(path))
    assert [about for about in abouts(harvest) if about != "Damaged"] == ["Before", "After 0", "After 1"]
    assert harvest.skipped == {"broken": 1}
    steps = harvest.steps
    assert harvest.go_on(source(path, 2)).steps == steps


@pytest.mark.parametrize("ending", PACK)
def test_a_last_record_that_is_cut_off_is_no_half_row_and_is_read_when_it_is_whole(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", [page("Before"), page("Last")])
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    harvest = Harvest().go_on(source(path))
    assert (abouts(harvest), harvest.skipped) == (["Before"], {"broken": 1})
    path.write_bytes(whole)
    assert abouts(harvest.go_on(source(path, 2))) == ["Before", "Last"]


def test_a_file_that_is_packed_as_a_whole_or_no_warc_is_said_to_be_so(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(page("First") + page("Second")))
    (tmp_path / "b.warc").write_bytes(b"<html>")
    (tmp_path / "c.warc").write_bytes(b"")
    write(tmp_path / "d.warc", [page("Good")])
    harvest = Harvest().go_on(source(tmp_path / "*.warc*"))
    assert abouts(harvest) == ["First", "Good"]
    assert harvest.skipped == {"one_member": 1, "no_warc": 2}
    assert harvest.go_on(source(tmp_path / "*.warc*", 2)).skipped.total() == 3


@settings(max_examples=15, deadline=None)
@given(
    order=st.lists(st.sampled_from(["good", *BAD]), min_size=1, max_size=8),
    kills=st.lists(st.integers(0, 2), max_size=6),
    ending=st.sampled_from(list(PACK)),
)
def test_killed_after_any_step_and_gone_on_gives_every_record_exactly_once(tmp_path_factory, order, kills, ending):
    records = [page(f"Page {i}") if kind == "good" else BAD[kind] for i, kind in enumerate(order)]
    path = write(tmp_path_factory.mktemp("warc") / f"a.{ending}", records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(source_module, "STEP_ROWS", 2)
        harvest = Harvest()
        for steps in kills:
            harvest.go_on(source(path), steps)
        harvest.go_on(source(path))
    assert abouts(harvest) == [f"Page {i}" for i, kind in enumerate(order) if kind == "good"]
    assert harvest.skipped.total() == sum(kind != "good" for kind in order)
