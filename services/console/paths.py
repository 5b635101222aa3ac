"""Paths that commands use when none is given."""

from __future__ import annotations

from pathlib import Path

DEFAULT_RUN = Path("runs/demo")
"""Folder of the embedded run."""
DEMO_CAMPAIGN = Path(__file__).parents[2] / "deploy" / "campaigns" / "demo.yaml"
"""The demo's campaign file; it lies beside the packages, in a checkout and in an installation."""
