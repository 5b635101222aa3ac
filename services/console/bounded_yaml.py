"""Reads a YAML mapping that a stranger may have written: time and memory are bounded, and every fault is one message.

Aliases and merge keys are refused, because a few lines of them stand for billions of values. Explicit tags are refused
and dates stay text, because their constructors fail in ways of their own. A key that occurs twice is a mistake.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import yaml

from services.runtime.user_error import UserError

MAX_BYTES = 1_000_000
"""Largest file. A campaign becomes one event, which holds less (`eventstore.errors.MAX_EVENT_BYTES`)."""

MAX_DEPTH = 30
"""Deepest nesting; a campaign's is below 10."""


UNSTORABLE = re.compile("[\\0\ud800-\udfff]")
"""Characters that PostgreSQL stores in no text."""


class Refused(yaml.YAMLError):
    """What YAML allows and a campaign file does not; the text is the message."""


class _Loader(yaml.SafeLoader):
    """PyYAML without aliases, merge keys, tags, dates and repeated keys; `1e-3` is a number, as in YAML 1.2."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose as PyYAML does, unless a limit is passed."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Refused(f"{where}: anchors (&) and aliases (*) are not read; write the value out where it is used")
        if getattr(event, "tag", None):
            raise Refused(f"{where}: the tag {event.tag[:40]!r} is not read; leave it out")
        if isinstance(event, yaml.ScalarEvent) and UNSTORABLE.search(event.value):
            raise Refused(f"{where}: NUL or half a surrogate pair, which the log cannot hold; leave it out")
        if self.depth >= MAX_DEPTH:
            raise Refused(f"{where}: nested more than {MAX_DEPTH} levels deep; a campaign needs fewer than 10")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are plain texts, each once."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise Refused(f"line {line}: a key that is no plain text; give the name of a field")
            if key.value in lines:
                first = lines[key.value]
                raise Refused(f"line {line}: {key.value[:40]!r} is a key in line {first} already; keep one of them")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_file(path: Path) -> str:
    """The text of a file. Raises `UserError` for what is no file, too large or not UTF-8."""
    try:
        # Looked at before it is opened: to open a named pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: is no regular file; name a campaign file, such as demo.yaml")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); name a campaign file, such as demo.yaml"
        ) from error
    if len(content) > MAX_BYTES:
        raise UserError(_too_large(path))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error


def read_mapping(text: str, path: Path, expected: str) -> dict[str, Any]:
    """The mapping that a text holds; `expected` describes it, and messages call the text by its path.

    Raises `UserError` where the text is too large, is not YAML, or holds something else.
    """
    if len(text) > MAX_BYTES:
        raise UserError(_too_large(path))
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except Refused as error:
        raise UserError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML: {' '.join(str(error).split())[:500]}") from None
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise UserError(
            f"{path}: a value cannot be read ({str(error)[:200]}); correct it or put it in quotes"
        ) from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds {type(data).__name__}; {expected}")
    return data


def _too_large(path: Path) -> str:
    return f"{path}: more than {MAX_BYTES:,} bytes; put long lists, such as pages, into files of their own"
