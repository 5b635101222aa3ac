"""Every statement of the store stands in a .sql file here, under a name and a description.

`-- name: x` begins a statement; it ends where the next begins. The comment lines after the name say what it does.
"""

from __future__ import annotations

import re
from importlib.resources import files

NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(text: str) -> dict[str, str]:
    """The named statements of one file."""
    _, *parts = NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


QUERIES: dict[str, str] = {
    name: statement
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name)
    if file.name.endswith(".sql")
    for name, statement in load(file.read_text(encoding="utf-8")).items()
}
"""Every statement by name."""
