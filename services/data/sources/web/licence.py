"""The licence that a page declares for itself, as its SPDX identifier where it is one of Creative Commons'.

Looked for in this order: a link or `<link>` with `rel=license`, the metadata of Dublin Core, a Creative Commons link in
the footer (trafilatura's rule).
"""

from __future__ import annotations

import re

from lxml.html import HtmlElement
from trafilatura.metadata import extract_license

CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(?:licenses|licences)/([a-z-]+)/(\d\.\d)", re.IGNORECASE)
ZERO = re.compile(r"creativecommons\.org/publicdomain/(zero|mark)/(\d\.\d)", re.IGNORECASE)
WORDS = re.compile(r"CC[ -](BY(?:[ -](?:NC|ND|SA))*)[ -](\d\.\d)", re.IGNORECASE)
LONGEST = 200
"""Characters of a licence that are kept."""

META = ("dcterms.license", "dcterms.rights", "dc.rights", "license", "licence")


def licence_of(tree: HtmlElement) -> str:
    """The page's licence; empty where it says none."""
    return next((spdx(said) for said in (*_links(tree), *_meta(tree), extract_license(tree)) if said), "")


def spdx(said: str) -> str:
    """The SPDX identifier of a licence of Creative Commons that an address or a word means; else what was said."""
    if found := CREATIVE_COMMONS.search(said) or WORDS.search(said):
        return f"CC-{found[1].upper().replace(' ', '-')}-{found[2]}"
    if found := ZERO.search(said):
        return f"CC0-{found[2]}" if found[1].lower() == "zero" else f"CC-PDM-{found[2]}"
    return " ".join(said.split())[:LONGEST]


def _links(tree: HtmlElement) -> list[str]:
    return [
        element.get("href", "")
        for element in tree.iter("a", "link", "area")
        if "license" in element.get("rel", "").lower().split()
    ]


def _meta(tree: HtmlElement) -> list[str]:
    found = {element.get("name", "").lower(): element.get("content", "") for element in tree.iter("meta")}
    return [found[name] for name in META if name in found]
