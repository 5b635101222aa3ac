"""From the bytes of a page to its main text and its licence."""

from __future__ import annotations

from charset_normalizer import from_bytes
from trafilatura import bare_extraction
from trafilatura.settings import Document
from trafilatura.utils import load_html
from w3lib.encoding import html_to_unicode

from services.data.sources.refusal import Refused
from services.data.sources.web.licence import licence_of

HTML = ("text/html", "application/xhtml+xml")
PLAIN = ("text/plain", "text/markdown")

TAGS = 50_000
"""Tags of a page that are read: the extraction's time grows with their square, to some seconds."""

DAMAGED = 0.01
"""Share of characters that may be unreadable."""

SNIFFED = 65_536
"""Bytes of a page whose encoding nobody declares that are guessed from."""


def read(body: bytes, content_type: str) -> tuple[str, str]:
    """Main text of a page, and its licence as far as it says one.

    Raises `Refused`: `type` for what is no page, `encoding` for bytes that are no text, `too_complex`,
    `unreadable`, `no_text`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in HTML + PLAIN:
        raise Refused("type")
    text = decoded(body, content_type)
    return (text, "") if kind in PLAIN else _main(text)


def decoded(body: bytes, content_type: str) -> str:
    """A page's characters, as a browser finds them: by its byte-order mark, its header, its own word, or a guess.

    Raises `Refused("encoding")` where too many are unreadable.
    """
    try:
        _, text = html_to_unicode(content_type or None, body, auto_detect_fun=_guess)
        text.encode()
    except (LookupError, UnicodeError) as error:  # such as a codec that is none of texts, or halves of characters
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
        found = bare_extraction(tree, include_comments=False, favor_precision=True) if tree is not None else None
    except Exception as error:  # one page's markup must not end the harvest of the others
        raise Refused("unreadable") from error
    if not isinstance(found, Document) or not found.text:
        raise Refused("no_text")
    return found.text, licence
