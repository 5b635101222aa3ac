"""The campaigns of the benchmark: whole runs of `aevolve demo`, each in its own folder, gone on with where it stopped.

All start from one campaign file, the demo's unless another is given, and differ in who searches, in the seed, and in
whether the target is a null twin. The budget is the same for all.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEMO = Path(__file__).parents[2] / "deploy" / "campaigns" / "demo.yaml"
EVERYWHERE = 16
"""`max_changes` of the random search: all axes of the demo at once, since it has no standing recipe to keep to."""


@dataclass(frozen=True)
class Run:
    """One campaign."""

    search: str
    """Who searches: a name of `Constitution.search`."""
    seed: int
    """Seed of the campaign."""
    null_twin: bool = False
    """Whether the target is distributed as dev."""

    @property
    def name(self) -> str:
        """Folder of the run."""
        return f"{'null-' if self.null_twin else ''}{self.search}-{self.seed}"

    def campaign(self, file: Path = DEMO) -> dict[str, Any]:
        """The campaign: that of a file, with this run's search, seed and target."""
        campaign: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        campaign["constitution"]["search"] = self.search
        if self.search == "random":
            campaign["constitution"]["max_changes"] = EVERYWHERE
        return {**campaign, "seed": self.seed, "null_twin": self.null_twin}

    def sha256(self, file: Path = DEMO) -> str:
        """Hash of the campaign with all that it says; not of the files that it names."""
        return hashlib.sha256(json.dumps(self.campaign(file), sort_keys=True, default=str).encode()).hexdigest()


def shortened(campaign: dict[str, Any]) -> dict[str, Any]:
    """A campaign of two candidates in one round, on few items: whether all of it runs. Its scores mean nothing."""
    constitution = campaign["constitution"]
    evaluation = {kind: {**limits, "items": 4} for kind, limits in constitution["evaluation"].items()}
    shorter = {**constitution, "rounds": 1, "candidates": 2, "evaluation": evaluation}
    return {**campaign, "recipe": {**campaign["recipe"], "steps": 4}, "constitution": shorter}


def planned(seeds: int, twins: int | None = None) -> Iterator[Run]:
    """The campaigns, seed by seed, so that a run that is cut short has whole seeds; a null twin of each, or of some."""
    for seed in range(seeds):
        yield from (Run(search, seed) for search in ("trust", "dev_greedy", "random"))
        if seed < (seeds if twins is None else twins):
            yield Run("trust", seed, null_twin=True)


def played(
    run: Run, folder: Path, rounds: int | None = None, campaign: Path = DEMO, *, quick: bool = False
) -> dict[str, Any]:
    """The report of a campaign: run to its end, or read where it has ended already. Files lie beside `campaign`.

    Raises `subprocess.CalledProcessError` where the campaign does not come to its end.
    """
    home = folder / run.name
    report, file = home / "report.json", folder / f"{run.name}.yaml"
    if not report.exists():
        folder.mkdir(parents=True, exist_ok=True)
        whole = run.campaign(campaign)
        file.write_text(yaml.safe_dump(shortened(whole) if quick else whole, sort_keys=False), encoding="utf-8")
        origin = ["--resume"] if home.exists() else ["--campaign", str(file)]
        shorter = ["--rounds", str(rounds)] if rounds and not home.exists() else []
        command = [sys.executable, "-m", "services.console", "demo", "--out", str(home), *origin, *shorter]
        with (folder / f"{run.name}.log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, env=_environment(campaign))
    result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return result


def _environment(campaign: Path) -> dict[str, str]:
    """This process's environment, in which the files beside a campaign file are found."""
    return {**os.environ, "AEVOLVE_TASK_PATH": f"{Path.cwd()}{os.pathsep}{campaign.absolute().parent}"}
