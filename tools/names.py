"""Prints the share of variable bindings with a vague name: bare participles and moods that do not say what a value is.

    python tools/names.py [--list] [FOLDER ...]

A binding is an assignment, a parameter, a loop variable, an alias, or the definition of a function or class.
The exit status is 1 where the share is above the limit.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

VAGUE = frozenset(
    (
        "told",
        "said",
        "held",
        "found",
        "asked",
        "made",
        "owed",
        "given",
        "kept",
        "known",
        "wanted",
        "gave",
        "taken",
        "begun",
        "settled",
        "heard",
        "seen",
        "alone",
        "elsewhere",
        "patience",
        "trail",
        "tether",
        "aftermath",
        "beginnings",
        "aside",
        "drawn",
        "whoever",
        "tell",
        "hear",
        "sought",
        "wished",
        "meant",
        "felt",
        "brought",
        "went",
        "came",
        "stood",
        "thing",
        "things",
        "stuff",
    )
)
"""Names that describe no value: bare participles, moods and riddles."""

LIMIT = 0.0025
"""Largest accepted share."""

PACKAGES = ("aevolve", "audit", "benchmarks", "eventstore", "judgement", "schemas", "services", "sizing", "tasks")


def bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every bound name of a module with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, 0


def vague(name: str) -> bool:
    """Whether a name, without leading and trailing underscores and in lower case, is one of `VAGUE`."""
    return name.strip("_").lower() in VAGUE


def main() -> int:
    """Count, print, and compare with the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", default=[name for name in PACKAGES if Path(name).is_dir()])
    parser.add_argument("--list", action="store_true", help="print each vague binding")
    arguments = parser.parse_args()
    total, hits = 0, Counter[str]()
    for path in sorted(file for folder in arguments.folders for file in Path(folder).rglob("*.py")):
        for name, line in bindings(ast.parse(path.read_text(encoding="utf-8"))):
            total += 1
            if vague(name):
                hits[name] += 1
                if arguments.list:
                    print(f"{path}:{line}: {name}")
    share = hits.total() / max(total, 1)
    print(f"{hits.total()} of {total} bindings have a vague name: {share:.2%} (limit {LIMIT:.2%})")
    print(", ".join(f"{name} {count}" for name, count in hits.most_common(12)))
    return int(share > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
