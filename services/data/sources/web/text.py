"""Extracts a page's main text, and the licence that it declares for itself."""

from __future__ import annotations

import re

from charset_normalizer import from_bytes
from lxml.html import HtmlElement
from trafilatura import bare_extraction
from trafilatura.metadata import extract_license
from trafilatura.settings import Document
from trafilatura.utils import load_html
from w3lib.encoding import html_to_unicode

from services.data.sources.source import Refused

HTML = ("text/html", "application/xhtml+xml")
PLAIN = ("text/plain", "text/markdown")

TAGS = 50_000
"""Maximum tags of a page: the time of the extraction grows with their square, to some seconds."""

DAMAGED = 0.01
"""Maximum share of unreadable characters."""

SNIFFED = 65_536
"""Bytes from which an undeclared encoding is guessed."""

CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(?:licenses|licences)/([a-z-]+)/(\d\.\d)", re.IGNORECASE)
ZERO = re.compile(r"creativecommons\.org/publicdomain/(zero|mark)/(\d\.\d)", re.IGNORECASE)
SHORT_NAME = re.compile(r"CC[ -](BY(?:[ -](?:NC|ND|SA))*)[ -](\d\.\d)", re.IGNORECASE)

LONGEST_LICENCE = 200
"""Maximum stored characters of a licence."""

LICENCE_META = ("dcterms.license", "dcterms.rights", "dc.rights", "license", "licence")


def read(body: bytes, content_type: str) -> tuple[str, str]:
    """Main text of a page, and its licence if it declares one.

    Raises `Refused`: `type` for another content type, `encoding` for bytes that are no text, `too_complex`,
    `unreadable`, `no_text`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in HTML + PLAIN:
        raise Refused("type")
    text = decoded(body, content_type)
    return (text, "") if kind in PLAIN else _main(text)


def decoded(body: bytes, content_type: str) -> str:
    """A page's characters, as a browser decodes them: by byte-order mark, header, its own declaration, or a guess.

    Raises `Refused("encoding")` if too many are unreadable.
    """
    try:
        _, text = html_to_unicode(content_type or None, body, auto_detect_fun=_guess)
        text.encode()
    except (LookupError, UnicodeError) as error:  # such as a codec that is not for text, or half a surrogate pair
        raise Refused("encoding") from error
    if text.count("\ufffd") > DAMAGED * len(text) or "\0" in text:
        raise Refused("encoding")
    return text


def _guess(body: bytes) -> str | None:
    try:
        body.decode()
    except UnicodeDecodeError:
        best = from_bytes(body[:SNIFFED]).best()
        return best.encoding if best else None
    return "utf-8"


def _main(html: str) -> tuple[str, str]:
    if html.count("<") > TAGS:
        raise Refused("too_complex")
    try:
        tree = load_html(html)
        licence = licence_of(tree) if tree is not None else ""
        document = bare_extraction(tree, include_comments=False, favor_precision=True) if tree is not None else None
    except Exception as error:  # one page's markup must not end the harvest of the others
        raise Refused("unreadable") from error
    if not isinstance(document, Document) or not document.text:
        raise Refused("no_text")
    return document.text, licence


def licence_of(tree: HtmlElement) -> str:
    """The page's declared licence, or an empty string.

    Searched in this order: links with `rel=license`, Dublin Core metadata, a Creative Commons link in the footer
    (trafilatura's rule).
    """
    links = [
        element.get("href", "")
        for element in tree.iter("a", "link", "area")
        if "license" in element.get("rel", "").lower().split()
    ]
    meta = {element.get("name", "").lower(): element.get("content", "") for element in tree.iter("meta")}
    declared = (*links, *(meta[name] for name in LICENCE_META if name in meta), extract_license(tree))
    return next((spdx(text) for text in declared if text), "")


def spdx(text: str) -> str:
    """The SPDX identifier of a Creative Commons licence, given by address or name; another licence as it is."""
    if match := CREATIVE_COMMONS.search(text) or SHORT_NAME.search(text):
        return f"CC-{match[1].upper().replace(' ', '-')}-{match[2]}"
    if match := ZERO.search(text):
        return f"CC0-{match[2]}" if match[1].lower() == "zero" else f"CC-PDM-{match[2]}"
    return " ".join(text.split())[:LONGEST_LICENCE]
