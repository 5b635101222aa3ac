"""Whatever bytes a stranger sends, the answer is a row or a reason."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.data.sources.source import Refused
from services.data.sources.web import listings, text
from services.data.sources.web.fetch import address
from services.data.sources.web.public_addresses import is_public
from tests.harvests import Harvest
from tests.unit.data.test_sources_warc import abouts, page, source
from tests.web_server import article

SPLINTERS = b"""<p> < > </div> <!-- <![CDATA[ <a href='x &#xD800; &#0; <html/> <svg:a:b> <title> <a~rel=license~href=
<rss> <urlset> <url><loc> </loc></url> <item> <link> http://a/ <?xml~'9'?> <!DOCTYPE~x~[<!ENTITY~a~'&a;'>]> &a;
words~of~a~text~ <meta~charset= """
PIECES = st.sampled_from([*SPLINTERS.replace(b"\n", b" ").split(b" "), b"\0", b"\xff\xfe", b"\xed\xa0\x80"])
MARKUP = st.lists(PIECES | st.binary(max_size=8), max_size=40).map(lambda parts: b"".join(parts).replace(b"~", b" "))
CHARSETS = st.sampled_from(
    ["", "utf-8", "utf-16", "base64", "idna", "undefined", "unicode_escape", "zip", "latin-1", "x\x00"]
)


@settings(max_examples=150, deadline=None)
@given(body=MARKUP, charset=CHARSETS, kind=st.sampled_from(["", "text/html", "text/plain", ";;", "a/b"]))
@example(body=article("Mills"), charset="undefined", kind="text/html")
@example(body=b"<p>\\ud800" * 50, charset="unicode_escape", kind="text/html")
def test_a_page_is_a_text_or_refused(body, charset, kind):
    try:
        found, licence = text.read(body, f"{kind}; charset={charset}")
    except Refused:
        return
    assert found.encode().decode() == found
    assert len(licence) <= 200


@settings(max_examples=150, deadline=None)
@given(body=MARKUP, packed=st.booleans())
def test_a_listing_is_links_or_refused(body, packed):
    try:
        found = listings.read(gzip.compress(body) if packed else body, "http://a/b", 10_000)
    except Refused:
        return
    assert all(address(link.url) == link.url for link in found.links)


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=30) | st.text(":/?#[]@!$&'()*+,;=%.-xn", max_size=30).map("http:".__add__),
    based=st.booleans(),
)
def test_a_link_is_an_address_or_refused(text, based):
    try:
        found = address(text, "http://a/b" if based else "")
    except Refused:
        return
    assert found.startswith(("http://", "https://"))
    assert found.isascii()
    assert address(found) == found


@given(ip=st.ip_addresses())
def test_an_address_wrapped_in_another_is_judged_as_itself(ip):
    if ip.version == 4:
        assert is_public(f"::ffff:{ip}") == is_public(f"64:ff9b::{ip}") == is_public(str(ip))
    assert not is_public(str(ip)) or not (ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast)


@settings(max_examples=60, deadline=None)
@given(
    ending=st.sampled_from(["warc", "warc.gz"]),
    cut=st.integers(0, 2_000),
    junk=st.binary(min_size=1, max_size=40),
    over=st.booleans(),
)
@example(ending="warc.gz", cut=3, junk=b"\4", over=False)
@example(ending="warc", cut=75, junk=b"\0", over=False)
def test_a_record_with_other_bytes_in_it_costs_at_most_itself(ending, cut, junk, over):
    pack = gzip.compress if ending == "warc.gz" else bytes
    parts = [pack(page(about)) for about in ("Before", "Damaged", "After")]
    place = cut % len(parts[1])
    parts[1] = parts[1][:place] + junk + parts[1][place + len(junk) * over :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        path.write_bytes(b"".join(parts))
        harvest = Harvest().go_on(source(path))
        kept = [about for about in abouts(harvest) if about in ("Before", "After")]
        assert kept == ["Before", "After"]
        steps = harvest.steps
        assert harvest.go_on(source(path, 2)).steps == steps


@pytest.mark.parametrize("size", [0, 1, 9, 100])
def test_a_packed_body_is_taken_at_any_size_of_its_chunks(size):
    from services.data.sources.web.inflate import unpacked

    data = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    chunks = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    assert unpacked(chunks, 7) == b"one two"
    with pytest.raises(Refused, match="too_long"):
        unpacked(chunks, 6)
