"""Entry point of the command `aevolve`: checks first that Python would import this installation's packages."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("audit", "eventstore", "judgement", "tasks", "schemas", "services", "sizing")
"""Top-level packages of this distribution; another of the same name may come first on the path."""


def main() -> None:
    """Run the command; exit status 2 if another package would be imported in place of ours."""
    if fault := foreign_package():
        sys.stderr.write(f"aevolve: {fault}\n")
        sys.exit(2)
    from services.console.cli import main as run  # noqa: PLC0415 - after the check

    run()


def foreign_package() -> str | None:
    """What is wrong with the first of `PACKAGES` that does not lie beside this one; None if all do."""
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None:
            return f"module {name} is missing from this installation ({home}): install aevolve again"
        places = [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or "?"]]
        if home / name not in places:
            return (
                f"module {name} is loaded from {places[0]}, not from this installation ({home}): "
                "remove that folder from PYTHONPATH, start aevolve in another folder, or install it in an environment "
                "of its own"
            )
    return None
