"""What the manifests promise: each promise is a function from the objects of a folder to what breaks it, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from schemas.envelope import topic
from services.data.app import SERVICE as DATA
from services.policy.app import SERVICE as POLICY
from services.recipes.app import SERVICE as RECIPES
from services.trainer.app import SERVICE as TRAINER
from tests.deploy.rendered import Manifest, Pods, of_kind, pods

Promise = Callable[[list[Manifest]], Iterator[str]]

SEALED = {"aevolve-sealed", "aevolve-anchor"}
"""Secrets of the oracle alone: the key of the sealed sets, and the key that signs the log's heads."""

WRITERS = {
    "snapshots": {"data"},
    "harvests": {"data"},
    "fingerprints": {"oracle"},
    "adapters": {"trainer-jobs"},
    "receipts": {"oracle"},
    "models": {"start"},
    "work": {"trainer-jobs"},
    "anchors": {"oracle"},
}
"""Volume -> the components that may write to it."""

SECRETS = {
    "migrate": {"aevolve-owner"}
    | {f"aevolve-{name}" for name in ("data", "recipes", "trainer", "oracle", "policy")}
    | {"aevolve-console", "aevolve-exporter", "aevolve-scaler"},
    "oracle": {"aevolve-oracle"} | SEALED,
    "trainer-jobs": {"aevolve-trainer"},
    "start": {"aevolve-console"},
}
"""Component -> the secrets that it is given, where that is not its own alone."""

PRIVATE = [
    ip_network(cidr)
    for cidr in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]
"""Networks of one's own, a cloud's metadata among them."""

BROKER = {"data", "recipes", "trainer", "oracle", "policy", "console"}
"""Who speaks to Kafka."""


def restricted(manifests: list[Manifest]) -> Iterator[str]:
    """The profile `restricted` of the Pod Security Standards, and a root file system that cannot be written."""
    for pod in pods(manifests):
        yield from _restricted_pod(pod)
        for container in pod.containers:
            yield from _restricted_container(pod, container)


def _restricted_pod(pod: Pods) -> Iterator[str]:
    security = pod.spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield f"{pod.name}: may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"{pod.name}: no seccomp profile"
    if any(pod.spec.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")):
        yield f"{pod.name}: shares a namespace of its host"
    if any(set(volume) & {"hostPath", "nfs"} for volume in pod.spec.get("volumes", ())):
        yield f"{pod.name}: a volume that the profile forbids"


def _restricted_container(pod: Pods, container: Manifest) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield f"{pod.name}: may gain privileges"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{pod.name}: keeps capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{pod.name}: can write to its root file system"
    if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
        yield f"{pod.name}: runs as root"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield f"{pod.name}: a port of its host"


def no_token(manifests: list[Manifest]) -> Iterator[str]:
    """Nobody is given a token of the cluster's API."""
    return (
        f"{p.name}: has a token" for p in pods(manifests) if p.spec.get("automountServiceAccountToken") is not False
    )


def enforced(manifests: list[Manifest]) -> Iterator[str]:
    """The namespace refuses what is not restricted."""
    for namespace in of_kind(manifests, "Namespace"):
        if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the namespace does not enforce restricted"


def sealed(manifests: list[Manifest]) -> Iterator[str]:
    """Every pod is given its own secrets alone, and the sealed sets' key only the oracle."""
    for pod in pods(manifests):
        allowed = SECRETS.get(pod.component, {f"aevolve-{pod.component}"})
        keys = {f"aevolve-s3-{pod.component.removesuffix('-jobs')}"}
        for secret in _secrets(pod.spec) - allowed - keys:
            yield f"{pod.name}: is given the secret {secret}"


def _secrets(value: Any) -> set[str]:
    """Every secret that is named anywhere in a pod."""
    if isinstance(value, list):
        return set().union(*map(_secrets, value))
    if not isinstance(value, dict):
        return set()
    own = value.get("secret"), value.get("secretKeyRef"), value.get("secretRef")
    named = {one.get("secretName") or one["name"] for one in own if isinstance(one, dict)}
    return named.union(*map(_secrets, value.values()))


def own_volumes(manifests: list[Manifest]) -> Iterator[str]:
    """A volume that outlives a pod is written by whoever makes what lies there, and read-only to all others."""
    for pod in pods(manifests):
        claims = {v["name"] for v in pod.spec.get("volumes", ()) if "persistentVolumeClaim" in v}
        mounts = (mount for container in pod.containers for mount in container.get("volumeMounts", ()))
        for mount in mounts:
            writes = mount["name"] in claims and not mount.get("readOnly")
            if writes and pod.component not in WRITERS[mount["name"]]:
                yield f"{pod.name}: may write to {mount['name']}"


def bounded(manifests: list[Manifest]) -> Iterator[str]:
    """Every container asks for processor and memory, and its memory is limited."""
    for pod in pods(manifests):
        for container in pod.containers:
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get(
                "limits", {}
            ):
                yield f"{pod.name}: without requests or a limit of memory"


def probed(manifests: list[Manifest]) -> Iterator[str]:
    """Every container is asked whether it has started, is ready and lives; or its pod says why not."""
    probes = {"startupProbe", "readinessProbe", "livenessProbe"}
    for pod in pods(manifests):
        if not pod.reasons.get("aevolve.io/no-probe"):
            for container in pod.spec["containers"]:
                if missing := probes - set(container):
                    yield f"{pod.name}: without {', '.join(sorted(missing))}"


def budgeted(manifests: list[Manifest]) -> Iterator[str]:
    """Every Deployment has a disruption budget that leaves it a replica to lose, or says why it has none."""
    for pod in pods(manifests):
        if pod.owner["kind"] != "Deployment" or pod.reasons.get("aevolve.io/no-disruption-budget"):
            continue
        labels = pod.metadata["labels"].items()
        if not any(
            budget["spec"]["selector"]["matchLabels"].items() <= labels
            and budget["spec"]["minAvailable"] < _replicas(manifests, pod)
            for budget in of_kind(manifests, "PodDisruptionBudget")
        ):
            yield f"{pod.name}: no disruption budget, or one that blocks the emptying of a node"


def _replicas(manifests: list[Manifest], pod: Pods) -> int:
    """The least that there are."""
    name = pod.owner["metadata"]["name"]
    scaled = (s["spec"] for s in of_kind(manifests, "ScaledObject") if s["spec"]["scaleTargetRef"]["name"] == name)
    return next((int(spec["minReplicaCount"]) for spec in scaled), pod.owner["spec"].get("replicas", 1))


def denied(manifests: list[Manifest]) -> Iterator[str]:
    """Where there are policies, one of them forbids everything that no other allows; the web is no private network."""
    policies = of_kind(manifests, "NetworkPolicy")
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if policies and not any(policy["spec"] == nothing for policy in policies):
        yield "no policy denies everything by default"
    for policy in policies:
        for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]:
            peers = rule.get("from", rule.get("to"))
            if not peers or not rule.get("ports") or any(not any(_narrow(p)) for p in peers):
                yield f"NetworkPolicy {policy['metadata']['name']}: a rule for everybody, or for every port"


def _narrow(peer: Manifest) -> Iterator[bool]:
    for kind, selector in peer.items():
        if kind == "ipBlock":
            yield _public(selector)
        else:
            yield bool(selector.get("matchLabels") or selector.get("matchExpressions"))


def _within(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _public(block: Manifest) -> bool:
    """Whether a block leaves out every private network that it spans."""
    block_, out = ip_network(block["cidr"]), [ip_network(cidr) for cidr in block.get("except", ())]
    private = [network for network in PRIVATE if network.version == block_.version and network.overlaps(block_)]
    return all(any(_within(network, one) for one in out) for network in private)


def apart(manifests: list[Manifest]) -> Iterator[str]:
    """The services do not talk to each other, and only those that need Kafka reach it."""
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
    for name, spec in policies.items():
        ports = {port["port"] for rule in spec.get("egress", ()) for port in rule["ports"]}
        if 8000 in ports or 8080 in ports:
            yield f"NetworkPolicy {name}: lets pods ask each other"
        if 9092 in ports:
            chosen = [e for e in spec["podSelector"].get("matchExpressions", ()) if e["key"].endswith("/component")]
            if not chosen or set(chosen[0]["values"]) - BROKER:
                yield f"NetworkPolicy {name}: lets others than {sorted(BROKER)} reach Kafka"


def followed(manifests: list[Manifest]) -> Iterator[str]:
    """The handlers follow the lag of every topic that their service reacts to, as its own consumer group."""
    for scaled in of_kind(manifests, "ScaledObject"):
        name = scaled["metadata"]["name"]
        service = {s.name: s for s in (DATA, RECIPES, TRAINER, POLICY)}[name]
        triggers = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
        if {t["topic"] for t in triggers} != set(map(topic, service.reactions)):
            yield f"ScaledObject {name}: its topics are not those that the service reacts to"
        if {t["consumerGroup"] for t in triggers} != {f"aevolve.{name}"}:
            yield f"ScaledObject {name}: another consumer group"
        if any("excludePersistentLag" in t or t["offsetResetPolicy"] != "earliest" for t in triggers):
            yield f"ScaledObject {name}: would take lag for none"


def unharmed(manifests: list[Manifest]) -> Iterator[str]:
    """A Job per training job: none is chosen as a victim, tried again by Kubernetes, or ended by a change."""
    for scaled in of_kind(manifests, "ScaledJob"):
        spec, name = scaled["spec"], f"ScaledJob {scaled['metadata']['name']}"
        job = spec["jobTargetRef"]
        hosts = job["parallelism"]
        if (job["completions"], job["backoffLimit"]) != (hosts, 0):
            yield f"{name}: not one try"
        if hosts > 1 and job.get("completionMode") != "Indexed":
            yield f"{name}: its hosts do not know which of them is the first"
        single, several = ["serve", "trainer", "--jobs", "1"], ["-m", "services.trainer.distributed.hosts"]
        if job["template"]["spec"]["containers"][0]["args"] != (single if hosts == 1 else several):
            yield f"{name}: does not run one job and end"
        if spec.get("rollout") != {"strategy": "gradual"}:
            yield f"{name}: a change of it would end running jobs"
        if job["template"]["metadata"]["annotations"].get("cluster-autoscaler.kubernetes.io/safe-to-evict") != "false":
            yield f"{name}: may be evicted to save a node"
    for scaled in of_kind(manifests, "ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] == "oracle":
            yield "ScaledObject oracle: it runs long jobs in a Deployment that shrinks"


def pinned(manifests: list[Manifest]) -> Iterator[str]:
    """Images have a version, and it is ours."""
    for pod in pods(manifests):
        for container in pod.containers:
            name, _, tag = container["image"].partition(":")
            if name not in ("aevolve-core", "aevolve-cpu", "aevolve-gpu") or not tag or tag == "latest":
                yield f"{pod.name}: image {container['image']}"


PROMISES: tuple[Promise, ...] = (
    restricted, no_token, enforced, sealed, own_volumes, bounded, probed, budgeted, denied, apart, followed, unharmed,
    pinned,
)  # fmt: skip
