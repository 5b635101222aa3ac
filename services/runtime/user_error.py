"""What a person can mend: one message that names the field, its value and the remedy; the command then exits with 2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from urllib.parse import quote


class UserError(Exception):
    """Wrong input or a missing part. Its text is shown as it stands, without a traceback."""


def printable(text: str) -> str:
    """A text for a terminal: control and direction characters are written as escapes, line ends stay.

    What a file, a log or a server says may hold anything, and a terminal obeys escape sequences.
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def without_password(address: str) -> str:
    """The address of a server as it may be shown: messages end up in logs."""
    return re.sub(r"(://[^/@:]*:)[^/@]*@", r"\1***@", address)


def with_password(address: str, password: str) -> str:
    """The address of a server as its user logs in with a password. Raises `UserError` where it names no user."""
    if not re.search(r"://[^/@:]+(:[^/@]*)?@", address):
        raise UserError(
            f"DSN: {address}; it names no user whose password is meant: write postgresql://USER@HOST/DATABASE"
        )
    return re.sub(r"(://[^/@:]+)(:[^/@]*)?@", lambda user: f"{user[1]}:{quote(password, safe='')}@", address, count=1)


def nearest(word: str, choices: Iterable[str]) -> str:
    """`did you mean X?`, or the list of choices if none is similar."""
    names = list(choices)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
