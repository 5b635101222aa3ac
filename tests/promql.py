"""Which metrics the dashboards and alerts in a folder use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml


def used(folder: Path) -> Iterator[str]:
    """Every PromQL expression of rules, dashboards and their variables."""
    for file in (folder / "rules").glob("*.yml"):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from (rule["expr"] for rule in group["rules"])
    for file in (folder / "grafana" / "dashboards").glob("*.json"):
        dashboard = json.loads(file.read_text())
        yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
        yield from (variable["query"]["query"] for variable in dashboard["templating"]["list"])


def metrics(expressions: Iterable[str]) -> set[str]:
    """The names of our metrics in the expressions; a histogram's series count as the histogram."""
    names = {name for expression in expressions for name in re.findall(r"\baevolve_\w+", expression)}
    return {re.sub(r"_bucket$", "", name) for name in names}
