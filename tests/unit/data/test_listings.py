"""Feeds and sitemaps as servers write them: every link that can be read, and the others counted."""

from __future__ import annotations

import codecs
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.data.sources.source import Refused
from services.data.sources.web.fetch import AGENT, parsed
from services.data.sources.web.listings import read

HERE = "https://e.org/dir/list.xml"
SPACES = 'xmlns:atom="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/"'


def links(document: str | bytes) -> tuple[list[str], int]:
    listing = read(document.encode() if isinstance(document, str) else document, HERE, 1_000_000)
    return [link.url for link in listing.links], listing.bad


def atom(entries: str, head: str = "") -> str:
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {head}>{entries}</feed>'


def rss(items: str) -> str:
    return f'<rss version="2.0" {SPACES}><channel><link>https://e.org/</link>{items}</channel></rss>'


def sitemap(urls: str) -> str:
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
    return f"<urlset {space}>{urls}</urlset>"


B = 'xml:base="https://b.org/x/"'


@pytest.mark.parametrize(
    ("entry", "head", "url"),
    [
        ('<entry><link href="p"/></entry>', "", "https://e.org/dir/p"),
        ('<entry><link href="p"/></entry>', B, "https://b.org/x/p"),
        ('<entry xml:base="y/"><link href="p"/></entry>', B, "https://b.org/x/y/p"),
        ('<entry xml:base="y/"><link xml:base="/z/" href="p"/></entry>', B, "https://b.org/z/p"),
        ('<entry xml:base="https://c.org"><link href="/p"/></entry>', B, "https://c.org/p"),
        ('<entry xml:base="mailto:us"><link href="p"/></entry>', B, "https://b.org/x/p"),
        ('<entry><link href="https://d.org/p"/></entry>', 'xml:base="http://[no"', "https://d.org/p"),
        ('<entry><link rel="self" href="no"/><link href="p"/></entry>', "", "https://e.org/dir/p"),
        ('<entry><link rel=" Alternate" href="p"/></entry>', "", "https://e.org/dir/p"),
        (
            '<entry><link href="no" type="application/json"/><link href="p" type="text/html"/></entry>',
            "",
            "https://e.org/dir/p",
        ),
    ],
)
def test_a_link_of_atom_is_relative_to_the_bases_around_it(entry: str, head: str, url: str) -> None:
    assert links(atom(entry, head)) == ([url], 0)


@pytest.mark.parametrize(
    "item",
    [
        "<link>https://e.org/p</link>",
        "<link> <![CDATA[https://e.org/p]]> </link>",
        "<link><!-- here -->https://e.org/<!-- and -->p</link>",
        "<guid>https://e.org/p</guid>",
        '<link/><guid isPermaLink="true">https://e.org/p</guid>',
        '<atom:link href="https://e.org/p"/>',
        '<atom:link rel="self" href="https://e.org/no"/><link>https://e.org/p</link>',
        '<atom:link href="https://e.org/no"/><link>https://e.org/p</link>',
        "<media:link>https://e.org/no</media:link><link>https://e.org/p</link>",
        '<guid isPermaLink="false">https://e.org/no</guid><link>https://e.org/p</link>',
    ],
)
def test_an_item_of_rss_has_one_page(item: str) -> None:
    assert links(rss(f"<item>{item}</item>")) == (["https://e.org/p"], 0)


@pytest.mark.parametrize(
    "item",
    [
        "",
        "<guid>tag:e.org,2024:1</guid>",
        "<guid>12345</guid>",
        '<guid isPermaLink="false">https://e.org/no</guid>',
        '<atom:link rel="enclosure" href="https://e.org/no.mp3"/>',
    ],
)
def test_an_item_without_a_page_is_counted(item: str) -> None:
    assert links(rss(f"<item>{item}</item><item><link>https://e.org/p</link></item>")) == (["https://e.org/p"], 1)


def test_an_item_of_rdf_names_its_page() -> None:
    item = '<item rdf:about="https://e.org/p"/>'
    assert links(f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{item}</rdf:RDF>') == (
        ["https://e.org/p"],
        0,
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("?a=1&b=2", "?a=1&b=2"),
        ("?a=1&amp;b=2", "?a=1&b=2"),
        ("?a=1&#38;b=2", "?a=1&b=2"),
        ("?a=1&copy=2", "?a=1&copy=2"),
        ("?a=1&lt=2", "?a=1&lt=2"),
        ("?a=1&b;c", "?a=1&b;c"),
        ("<![CDATA[?a=1&b=2]]>", "?a=1&b=2"),
        ("<!-- a & b -->?a", "?a"),
        ("?a=&eacute;", "?a=%C3%A9"),
        ("?&", "?&"),
    ],
)
def test_an_ampersand_that_nobody_escaped_is_one(written: str, read_as: str) -> None:
    after = "<url><loc>https://e.org/q</loc></url>"
    assert links(sitemap(f"<url><loc>https://e.org/p{written}</loc></url>{after}")) == (
        [f"https://e.org/p{read_as}", "https://e.org/q"],
        0,
    )


def test_a_link_with_an_entity_of_its_document_is_bad_and_not_cut() -> None:
    document = '<!DOCTYPE rss [<!ENTITY u "https://e.org/">]>' + rss("<item><link>https://e.org/&u;p</link></item>")
    assert links(document) == ([], 1)


def test_a_page_of_a_sitemap_is_no_picture_and_its_comments_are_no_part_of_it() -> None:
    images = "<image:loc>https://e.org/no.png</image:loc><image:image><image:loc>no</image:loc></image:image>"
    changed = "<lastmod><!-- x -->2024-01-01</lastmod>"
    document = sitemap(f"<url><loc><!-- p -->https://e.org/<!-- q -->p</loc>{changed}{images}</url>")
    (link,) = read(document.encode(), HERE, 1_000_000).links
    assert (link.url, link.changed) == ("https://e.org/p", "2024-01-01")


@pytest.mark.parametrize("declared", ["", "utf-8", "utf-16", "iso-8859-1", "no-such"])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_any_encoding_is_read_by_its_mark_or_its_first_character(
    declared: str, encoding: str, mark: bytes, packed: bool
) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    body = mark + (head + rss("<item><link>https://e.org/p</link></item>")).encode(encoding)
    assert links(gzip.compress(body) if packed else body) == (["https://e.org/p"], 0)


def test_letters_are_those_of_the_declared_encoding() -> None:
    head = '<?xml version="1.0" encoding="iso-8859-1"?>'
    document = head + rss("<item><link>https://e.org/\xe9</link></item>")
    assert links(document.encode("latin-1")) == (["https://e.org/%C3%A9"], 0)
    assert links("HTTPS://e.org/a\n\nhttps://e.org/b".encode("utf-16")) == (["https://e.org/a", "https://e.org/b"], 0)


@pytest.mark.parametrize("document", ["<html/>", "<", "no links", "", "<?xml version='1.0'?>", "<rss"])
def test_what_is_no_listing_is_refused(document: str) -> None:
    with pytest.raises(Refused, match="no_listing"):
        links(document.replace("<rss", "<rs"))


PATHS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(st.lists(PATHS, max_size=4), st.sampled_from([rss, sitemap]), st.sampled_from(["utf-8", "utf-16"]))
def test_every_address_comes_out_as_it_went_in(paths: list[str], form, encoding: str) -> None:
    urls = [f"https://e.org/?{path}" for path in paths]
    escaped = [url.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for url in urls]
    entries = {rss: "<item><link>{}</link></item>", sitemap: "<url><loc>{}</loc></url>"}[form]
    plain = {link for url in urls for link in links(f"{url}\nhttps://e.org/")[0]}
    found, bad = links(form("".join(map(entries.format, escaped))).encode(encoding))
    assert (set(found) | {"https://e.org/"}, bad) == (plain | {"https://e.org/"}, 0)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /\n", False),
        (codecs.BOM_UTF16_LE + "User-agent: *\nDisallow: /\n".encode("utf-16-le"), False),
        (b"User-agent: aevolve/1.0\nDisallow: /\n", False),
        (b"User-agent: other\r\nUser-agent: AEVOLVE/2 (bot)\r\nDisallow: /\r\n", False),
        (b"User-agent: *\nDisallow: /\n\nUser-Agent: aevolve/1.0 # us\nAllow: /\n", True),
        (b"User-agent: other/aevolve\nDisallow: /\n", True),
        (b"User-agent: other/1.0 aevolve\nDisallow: /\n", True),
        (b"", True),
    ],
)
def test_the_rules_of_robots_txt_are_those_of_our_name(rules: bytes, allowed: bool) -> None:
    assert parsed(rules).can_fetch("https://e.org/p", AGENT) is allowed
