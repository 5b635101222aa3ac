"""KEDA's own kinds, which the schemas of Kubernetes do not know.

Types are held against the schemas of KEDA as the npm package `@kubernetes-models/keda` brings them. Those let unknown
fields pass, as a cluster would silently drop them, and know nothing of what stands in a trigger's metadata; hence the
names below.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

from services.runtime.settings import cache_folder
from tests.deploy.rendered import Manifest

VERSION = "2.0.0"
"""Of the npm package."""

KINDS = ("ScaledObject", "ScaledJob", "TriggerAuthentication")

FIELDS = {
    "ScaledObject": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "cooldownPeriod", "triggers"},
    "ScaledJob": {
        "pollingInterval", "minReplicaCount", "maxReplicaCount", "successfulJobsHistoryLimit", "failedJobsHistoryLimit",
        "rollout", "scalingStrategy", "triggers", "jobTargetRef",
    },
    "TriggerAuthentication": {"secretTargetRef"},
}  # fmt: skip
"""Kind -> the fields of its spec that we use."""

TRIGGERS = {
    "kafka": {"bootstrapServersFromEnv", "consumerGroup", "topic", "lagThreshold", "offsetResetPolicy"},
    "postgresql": {"query", "targetQueryValue"},
}
"""Scaler -> the names in its metadata: https://keda.sh/docs/latest/scalers/."""

SCRIPT = """
const [place, ...kinds] = process.argv.slice(1)
const prefix = `${place}/node_modules/@kubernetes-models/keda/_schemas/ComGithubKedacoreKedaV2ApisKedaV1alpha1`
const checks = Object.fromEntries(await Promise.all(
  kinds.map(async kind => [kind, (await import(`${prefix}${kind}.js`)).validate])))
const text = await new Response(process.stdin).text()
console.log(JSON.stringify(JSON.parse(text).flatMap(object => {
  const check = checks[object.kind]
  const name = `${object.kind} ${object.metadata.name}`
  return check(object) ? [] : check.errors.map(e => `${name}${e.instancePath}: ${e.keyword}`)
})))
"""


def unknown(manifest: Manifest) -> Iterator[str]:
    """Fields and names that KEDA would not understand."""
    kind, spec = manifest["kind"], manifest["spec"]
    name = f"{kind} {manifest['metadata']['name']}"
    yield from (f"{name}: unknown field {field}" for field in set(spec) - FIELDS[kind])
    for trigger in spec.get("triggers", ()):
        if trigger["type"] not in TRIGGERS:
            yield f"{name}: unknown scaler {trigger['type']}"
        elif odd := set(trigger["metadata"]) ^ TRIGGERS[trigger["type"]]:
            yield f"{name}: {trigger['type']}: {', '.join(sorted(odd))}"


def mistyped(manifests: Iterable[Manifest]) -> list[str]:
    """What KEDA's schemas say against the objects."""
    command = ["node", "--input-type=module", "--eval", SCRIPT, "--", str(_schemas()), *KINDS]
    done = subprocess.run(command, input=json.dumps(list(manifests)), capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def _schemas() -> Path:
    """The npm package in the user's cache; installed aside, and then renamed."""
    place = cache_folder() / f"keda-{VERSION}"
    if not place.exists():
        making = place.with_name(f".{place.name}-{uuid4().hex}")
        making.mkdir(parents=True)
        try:
            package = f"@kubernetes-models/keda@{VERSION}"
            options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(making)]
            subprocess.run(["npm", "install", *options, package], capture_output=True, text=True, check=True)
            making.rename(place)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return place
