"""The glossary: one file of terms, shown by the console and printed as the page of the docs."""

from __future__ import annotations

import sys
from functools import cache
from importlib.resources import files

import yaml

HEAD = """# Glossary

<!-- Made from services/console/glossary.yaml by `python -m services.console.glossary`; edit that file. -->

The terms of this project, one sentence each. The console shows the same page at `/glossary`.

| term | meaning |
|---|---|
"""


@cache
def terms() -> dict[str, str]:
    """Term -> its meaning, in alphabetical order."""
    loaded: dict[str, str] = yaml.safe_load((files(__package__) / "glossary.yaml").read_text(encoding="utf-8"))
    return dict(sorted(loaded.items(), key=lambda term: term[0].lower()))


def markdown() -> str:
    """The page of the docs."""
    return HEAD + "".join(f"| **{term}** | {meaning} |\n" for term, meaning in terms().items())


if __name__ == "__main__":
    sys.stdout.write(markdown())
