"""The statements of the benchmark by name, as the store keeps its own."""

from __future__ import annotations

from importlib.resources import files

from eventstore.sql import load

STATEMENTS = load(files(__package__).joinpath("statements.sql").read_text(encoding="utf-8"))
"""Every statement by name."""
