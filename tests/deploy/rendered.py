"""What `kubectl apply --kustomize` would send, and the pods that it would lead to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
FOLDERS = ("overlays/cpu", "overlays/gpu", "overlays/multihost", "migrate", "migrate-before", "start")
"""What a person applies."""

Manifest = dict[str, Any]


def lacking(program: str) -> None:
    """Skip the test for a program that this machine lacks; in CI, where nothing is skipped, fail it."""
    if shutil.which(program) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not installed")


@cache
def _text(folder: str) -> str:
    command = ["kubectl", "kustomize", str(ROOT / folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rendered(folder: str) -> list[Manifest]:
    """The objects of a folder; a copy of one's own."""
    lacking("kubectl")
    return list(yaml.safe_load_all(_text(folder)))


@dataclass(frozen=True)
class Pods:
    """The pods of one object."""

    owner: Manifest
    """The Deployment, Job or ScaledJob."""
    metadata: Manifest
    """Of the template."""
    spec: Manifest
    """Of the template."""

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"

    @property
    def component(self) -> str:
        """Which part of the system it is."""
        return str(self.metadata["labels"]["app.kubernetes.io/component"])

    @property
    def reasons(self) -> dict[str, str]:
        """Why a promise is not kept, by its annotation."""
        return {**self.owner["metadata"].get("annotations", {}), **self.metadata.get("annotations", {})}

    @property
    def containers(self) -> list[Manifest]:
        """All that run in the pod."""
        return [*self.spec["containers"], *self.spec.get("initContainers", ())]


TEMPLATES = {"Deployment": "template", "Job": "template", "ScaledJob": "jobTargetRef"}


def pods(manifests: list[Manifest]) -> Iterator[Pods]:
    """Every pod template."""
    for owner in manifests:
        if owner["kind"] in TEMPLATES:
            template = owner["spec"][TEMPLATES[owner["kind"]]]
            template = template.get("template", template)
            yield Pods(owner, template["metadata"], template["spec"])


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]
