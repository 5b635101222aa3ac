"""Feeds and sitemaps: pages that name other pages.

lxml reads them, with the mends that broken feeds need; it resolves no entity and asks nobody for anything. A sitemap
may also be lines of addresses (sitemaps.org), and packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from services.data.sources.refusal import Refused
from services.data.sources.web.fetch import address
from services.data.sources.web.inflate import MAGIC, unpacked

ROOTS: dict[str, Kind] = {"rss": "feed", "RDF": "feed", "feed": "feed", "urlset": "sitemap", "sitemapindex": "index"}
"""What a listing is, by its outermost element."""

Kind = Literal["feed", "sitemap", "index"]


@dataclass(frozen=True)
class Link:
    """A page that is named."""

    url: str
    """Its address."""
    changed: str = ""
    """When it changed last, as the listing says."""


@dataclass(frozen=True)
class Listing:
    """What a feed or sitemap names."""

    kind: Kind
    """An index names sitemaps; the others name pages."""
    links: tuple[Link, ...]
    """Each address once, in the listing's order."""
    bad: int
    """Links that are no addresses of the web."""


def read(body: bytes, url: str, limit: int) -> Listing:
    """A listing that was found at an address. Raises `Refused("no_listing")`, or as `unpacked` does."""
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
    """The outermost element, what is broken inside left out; none for plain text."""
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
            said = {_name(child): (child.text or "").strip() for child in entry}
            yield said.get("loc", ""), said.get("lastmod", "")


def _feed(root: etree._Element) -> Iterator[tuple[str, str]]:
    for entry in root.iter("{*}item", "{*}entry"):
        links = [child for child in entry if _name(child) == "link"]
        told = {_name(child): (child.text or "").strip() for child in entry}
        wanted = [link for link in links if link.get("rel", "alternate") == "alternate"]
        for link in wanted[:1]:
            yield link.get("href") or (link.text or ""), told.get("updated", "")


def _lines(body: bytes) -> list[tuple[str, str]]:
    lines = [line.strip() for line in body.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    if not any(line.startswith("http") for line in lines):
        raise Refused("no_listing")
    return [(line, "") for line in lines]


def _listing(kind: Kind, named: Iterable[tuple[str, str]], url: str) -> Listing:
    links: dict[str, Link] = {}
    bad = 0
    for said, changed in named:
        try:
            found = address(said, url)
        except Refused:
            bad += 1
        else:
            links.setdefault(found, Link(found, changed))
    return Listing(kind, tuple(links.values()), bad)


def _name(element: etree._Element) -> str:
    """The local name; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
