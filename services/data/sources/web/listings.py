"""Feeds and sitemaps: documents that list pages.

lxml parses them and recovers from the errors of broken feeds; it resolves no entity and fetches nothing. Before that
the text is decoded and bare ampersands are escaped, since lxml would drop a part of an address behind each. A sitemap
may also be lines of addresses (sitemaps.org), and gzipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.entities import html5
from typing import Literal

from lxml import etree
from w3lib.encoding import html_body_declared_encoding, read_bom

from services.data.sources.source import Refused
from services.data.sources.web.fetch import address
from services.data.sources.web.inflate import MAGIC, unpacked

ROOTS: dict[str, Kind] = {"rss": "feed", "RDF": "feed", "feed": "feed", "urlset": "sitemap", "sitemapindex": "index"}
"""Kind of a listing, by its root element."""

Kind = Literal["feed", "sitemap", "index"]


@dataclass(frozen=True)
class Link:
    """A listed page."""

    url: str
    """Its address."""
    changed: str = ""
    """Its last change, as the listing states it."""


@dataclass(frozen=True)
class Listing:
    """The content of a feed or sitemap."""

    kind: Kind
    """An index lists sitemaps; the others list pages."""
    links: tuple[Link, ...]
    """Each address once, in the listing's order."""
    bad: int
    """Links that are no web addresses."""


DECLARATION = re.compile(r"\s*<\?xml\b[^>]{0,1000}\?>")
"""The XML declaration, which lxml refuses in a text that is decoded already."""

AMPERSAND = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|&(?:(#\d+|#x[0-9a-fA-F]+|[A-Za-z_][\w.-]*);)?", re.DOTALL
)
"""An ampersand with the name of its entity, or a part of a document in which ampersands are ordinary characters."""

XML_ENTITIES = ("amp", "lt", "gt", "quot", "apos")

ATOM = "http://www.w3.org/2005/Atom"
BASE = "{http://www.w3.org/XML/1998/namespace}base"
ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"

ALTERNATE = ("", "alternate", "http://www.iana.org/assignments/relation/alternate")
"""Relations of a link to the page of an entry."""

WEB = re.compile("https?://", re.IGNORECASE)

Entry = tuple[str, str, str]
"""A link as it is written, the base that it is relative to, and its last change."""


def read(body: bytes, url: str, limit: int) -> Listing:
    """The listing at an address. Raises `Refused("no_listing")`, or as `unpacked` does."""
    if body.startswith(MAGIC):
        body = unpacked([body], limit)
    text = _characters(body).strip()
    if not text.startswith("<"):
        return _listing("sitemap", _lines(text, url))
    root = _root(text)
    kind = ROOTS.get(_name(root))
    if kind is None:
        raise Refused("no_listing")
    return _listing(kind, _feed(root, url) if kind == "feed" else _sitemap(root, url))


def _characters(body: bytes) -> str:
    """The characters of a document: by its byte-order mark, its first character, or declaration.

    Without any of them, or if its declaration is wrong, it is UTF-8.
    """
    encoding, mark = read_bom(body)
    wide = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(body[:2])
    if mark is None and wide is None:
        declared = html_body_declared_encoding(body[:1_024])
        encoding = declared if declared and not declared.startswith(("utf-16", "utf-32")) else "utf-8"
    return body[len(mark or b"") :].decode(encoding or wide or "utf-8", errors="replace").removeprefix("\ufeff")


def _root(text: str) -> etree._Element:
    """The root element, without its broken parts."""
    own = "<!ENTITY" in text  # a document's own entities are not resolved, and a link with one is bad
    text = AMPERSAND.sub(lambda match: _escaped(match, own=own), DECLARATION.sub("", text, count=1))
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True, encoding="utf-8"
    )
    try:
        root = etree.fromstring(text.encode(errors="replace"), parser)
    except etree.XMLSyntaxError as error:
        raise Refused("no_listing") from error
    if root is None:
        raise Refused("no_listing")
    return root


def _escaped(match: re.Match[str], *, own: bool) -> str:
    """An ampersand as XML spells it, or the character of an entity of HTML."""
    text, name = match[0], match[1]
    if not text.startswith("&") or (name and (name.startswith("#") or name in XML_ENTITIES)):
        return text
    character = html5.get(f"{name};", "") if name else ""
    if character and not set(character) & set("<>&"):
        return character
    return text if own and name else f"&amp;{text[1:]}"


def _sitemap(root: etree._Element, url: str) -> Iterator[Entry]:
    for entry in root:
        if _name(entry) in ("url", "sitemap"):
            own = {_name(child): child for child in reversed(entry) if _space(child) == _space(entry)}
            loc = own.get("loc")
            yield _text(loc), _base(entry if loc is None else loc, url), _text(own.get("lastmod"))


def _feed(root: etree._Element, url: str) -> Iterator[Entry]:
    for entry in root.iter("{*}item", "{*}entry"):
        updated = next((_text(child) for child in entry if _name(child) == "updated"), "")
        link, where = _link(entry)
        yield link, _base(where, url), updated


def _link(entry: etree._Element) -> tuple[str, etree._Element]:
    """The address of an entry's page and the element that holds it; an empty address if there is none.

    In this order: a link as text (RSS), a link to an alternate form (Atom, also within RSS), a permanent identifier.
    """
    children = [child for child in entry if _space(child) in (_space(entry), ATOM)]
    links = [child for child in children if _name(child) == "link"]
    for link in links:
        if link.get("href") is None and _text(link):
            return _text(link), link
    alternate = [link for link in links if link.get("href") and link.get("rel", "").strip().lower() in ALTERNATE]
    for link in (*(link for link in alternate if "html" in link.get("type", "html")), *alternate):
        return link.get("href", ""), link
    for child in children:
        permanent = _name(child) == "guid" and child.get("isPermaLink", "true").strip().lower() != "false"
        if permanent and WEB.match(_text(child)):
            return _text(child), child
    return entry.get(ABOUT, ""), entry


def _text(element: etree._Element | None) -> str:
    """The text of an element around its comments; empty if it has an entity, whose text is unknown."""
    if element is None or any(isinstance(child, etree._Entity) for child in element):  # noqa: SLF001 - its only name
        return ""
    return "".join((element.text or "", *(child.tail or "" for child in element))).strip()


def _base(element: etree._Element, url: str) -> str:
    """The address that an element's link is relative to: `xml:base` of it and those around it."""
    for one in reversed([element, *element.iterancestors()]):
        if (base := one.get(BASE)) is not None:
            try:
                url = address(base, url)
            except Refused:
                continue  # no address of the web: the one around it holds
    return url


def _lines(text: str, url: str) -> list[Entry]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not any(map(WEB.match, lines)):
        raise Refused("no_listing")
    return [(line, url, "") for line in lines]


def _listing(kind: Kind, entries: Iterable[Entry]) -> Listing:
    """The listing of entries, each address once."""
    links: dict[str, Link] = {}
    bad = 0
    for text, base, changed in entries:
        try:
            link = address(text, base)
        except Refused:
            bad += 1
        else:
            links.setdefault(link, Link(link, changed))
    return Listing(kind, tuple(links.values()), bad)


def _name(element: etree._Element) -> str:
    """The local name; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _space(element: etree._Element) -> str:
    """The namespace; empty without one."""
    return element.tag.rpartition("}")[0].removeprefix("{") if isinstance(element.tag, str) else ""
