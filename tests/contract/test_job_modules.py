"""The processes that queue jobs and hold leases never load torch; only the jobs' own processes do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "peft", "lm_eval", "datasets"}
LIGHT = (
    "services.data.core",
    "services.data.job",
    "services.oracle.boards.job",
    "services.oracle.job",
    "services.recipes.advisor",
    "services.oracle.receipts",
    "services.oracle.sets",
    "services.oracle.stamp",
    "services.trainer.job",
    "services.runtime.storage.hashing",
    "services.runtime.storage.model_folders",
)


def loaded_by(*modules: str) -> set[str]:
    script = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    return set(run.stdout.split())


def test_what_describes_a_job_is_light() -> None:
    assert not HEAVY & loaded_by(*LIGHT)


@pytest.mark.parametrize("engine", ["services.trainer.engine", "services.oracle.engines.local"])
def test_preloading_an_engine_loads_all_that_a_job_needs(engine: str) -> None:
    assert {"torch", "transformers", "peft"} <= loaded_by(engine)
