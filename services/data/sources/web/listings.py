"""Feeds and sitemaps: documents that list pages.

lxml parses them and recovers from the errors of broken feeds; it resolves no entity and fetches nothing. A sitemap may
also be lines of addresses (sitemaps.org), and gzipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lxml import etree

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


def read(body: bytes, url: str, limit: int) -> Listing:
    """The listing at an address. Raises `Refused("no_listing")`, or as `unpacked` does."""
    if body.startswith(MAGIC):
        body = unpacked([body], limit)
    root = _root(body)
    if root is None:
        return _listing("sitemap", _lines(body), url)
    kind = ROOTS.get(_name(root))
    if kind is None:
        raise Refused("no_listing")
    return _listing(kind, _feed(root) if kind == "feed" else _sitemap(root), url)


def _root(body: bytes) -> etree._Element | None:
    """The root element, without its broken parts; None for plain text."""
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(body.strip(), parser)
    except etree.XMLSyntaxError as error:
        raise Refused("no_listing") from error
    if root is None:
        raise Refused("no_listing")
    return root


def _sitemap(root: etree._Element) -> Iterator[tuple[str, str]]:
    for entry in root:
        if _name(entry) in ("url", "sitemap"):
            fields = {_name(child): (child.text or "").strip() for child in entry}
            yield fields.get("loc", ""), fields.get("lastmod", "")


def _feed(root: etree._Element) -> Iterator[tuple[str, str]]:
    for entry in root.iter("{*}item", "{*}entry"):
        links = [child for child in entry if _name(child) == "link"]
        fields = {_name(child): (child.text or "").strip() for child in entry}
        alternate = [link for link in links if link.get("rel", "alternate") == "alternate"]
        for link in alternate[:1]:
            yield link.get("href") or (link.text or ""), fields.get("updated", "")


def _lines(body: bytes) -> list[tuple[str, str]]:
    lines = [line.strip() for line in body.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    if not any(line.startswith("http") for line in lines):
        raise Refused("no_listing")
    return [(line, "") for line in lines]


def _listing(kind: Kind, entries: Iterable[tuple[str, str]], url: str) -> Listing:
    """The listing of (link, last change) entries, with links resolved against its address."""
    links: dict[str, Link] = {}
    bad = 0
    for text, changed in entries:
        try:
            link = address(text, url)
        except Refused:
            bad += 1
        else:
            links.setdefault(link, Link(link, changed))
    return Listing(kind, tuple(links.values()), bad)


def _name(element: etree._Element) -> str:
    """The local name; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
