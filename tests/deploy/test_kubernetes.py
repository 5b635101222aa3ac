"""The manifests as they would be applied: valid for Kubernetes and KEDA, and true to each promise.

Every promise is shown to fail on manifests that break it. No cluster is asked.
"""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy import keda, promises
from tests.deploy.rendered import FOLDERS, ROOT, Manifest, lacking, of_kind, pods, rendered

VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: the oldest and the newest that we hold the manifests against."""


def split(manifests: list[Manifest]) -> tuple[list[Manifest], list[Manifest]]:
    """Kubernetes' own objects, with the jobs that KEDA would make, and KEDA's."""
    ours = [m for m in manifests if m["kind"] in keda.KINDS]
    jobs = [
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": m["metadata"], "spec": m["spec"]["jobTargetRef"]}
        for m in of_kind(manifests, "ScaledJob")
    ]
    return [m for m in manifests if m["kind"] not in keda.KINDS] + jobs, ours


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_kubernetes_knows_every_kind_and_every_field(folder: str, version: str) -> None:
    for manifest in split(rendered(folder))[0]:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_keda_knows_every_field_and_every_scaler(folder: str) -> None:
    lacking("npm")
    scaling = split(rendered(folder))[1]
    assert [word for manifest in scaling for word in keda.unknown(manifest)] == []
    assert keda.mistyped(scaling) == []


def test_a_wrong_type_or_field_is_noticed() -> None:
    deployment = of_kind(rendered("overlays/cpu"), "Deployment")[0]
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)
    deployment["kind"] = "Deploy"
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_a_wrong_type_or_name_for_keda_is_noticed() -> None:
    lacking("npm")
    (scaled,) = of_kind(rendered("overlays/gpu"), "ScaledJob")
    scaled["spec"]["triggers"][0]["metadata"]["targetQueryValue"] = 1
    assert keda.mistyped([scaled]) == ["ScaledJob trainer-jobs/spec/triggers/0/metadata/targetQueryValue: type"]
    scaled["spec"]["triggers"][0]["metadata"]["target"] = "1"
    scaled["spec"]["maxReplicas"] = 3
    assert len(list(keda.unknown(scaled))) == 2


@pytest.mark.parametrize("promise", promises.PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_promise_is_kept(folder: str, promise: promises.Promise) -> None:
    assert list(promise(rendered(folder))) == []


def pod(manifests: list[Manifest], component: str) -> Manifest:
    """The spec of a component's pods."""
    return next(found.spec for found in pods(manifests) if found.component == component)


def container(manifests: list[Manifest], component: str) -> Manifest:
    first: Manifest = pod(manifests, component)["containers"][0]
    return first


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(m for m in of_kind(manifests, kind) if m["metadata"]["name"] == name)


def mount(manifests: list[Manifest], component: str, secret: str) -> None:
    pod(manifests, component)["volumes"].append({"name": "stolen", "secret": {"secretName": secret}})


def trigger(manifests: list[Manifest]) -> Manifest:
    found: Manifest = named(manifests, "ScaledObject", "policy")["spec"]["triggers"][0]["metadata"]
    return found


def trigger_of_the_oracle(manifests: list[Manifest]) -> None:
    named(manifests, "ScaledObject", "policy")["spec"]["scaleTargetRef"]["name"] = "oracle"


Break = Callable[[list[Manifest]], object]
BREAKS: list[tuple[promises.Promise, Break]] = [
    (promises.restricted, lambda m: pod(m, "policy")["securityContext"].pop("runAsNonRoot")),
    (promises.restricted, lambda m: pod(m, "policy")["securityContext"].pop("seccompProfile")),
    (promises.restricted, lambda m: pod(m, "trainer-jobs").update(hostPID=True)),
    (promises.restricted, lambda m: pod(m, "oracle")["volumes"].append({"name": "h", "hostPath": {"path": "/"}})),
    (promises.restricted, lambda m: container(m, "oracle")["securityContext"].update(allowPrivilegeEscalation=True)),
    (promises.restricted, lambda m: container(m, "data")["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
    (promises.restricted, lambda m: container(m, "data")["securityContext"].pop("readOnlyRootFilesystem")),
    (promises.restricted, lambda m: container(m, "console")["securityContext"].update(runAsUser=0)),
    (promises.restricted, lambda m: container(m, "console")["ports"][0].update(hostPort=80)),
    (promises.restricted, lambda m: pod(m, "data").update(initContainers=[{"name": "i", "image": "aevolve-core:1"}])),
    (promises.no_token, lambda m: pod(m, "recipes").pop("automountServiceAccountToken")),
    (promises.enforced, lambda m: of_kind(m, "Namespace")[0]["metadata"]["labels"].clear()),
    (promises.sealed, lambda m: mount(m, "trainer-jobs", "aevolve-sealed")),
    (promises.sealed, lambda m: mount(m, "console", "aevolve-anchor")),
    (promises.sealed, lambda m: mount(m, "recipes", "aevolve-policy")),
    (promises.sealed, lambda m: mount(m, "exporter", "aevolve-console")),
    (
        promises.sealed,
        lambda m: container(m, "data").update(
            env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "aevolve-sealed", "key": "oracle.key"}}}]
        ),
    ),
    (promises.own_volumes, lambda m: [v.pop("readOnly", 0) for v in container(m, "oracle")["volumeMounts"]]),
    (promises.bounded, lambda m: container(m, "policy")["resources"].pop("limits")),
    (promises.bounded, lambda m: container(m, "trainer-jobs")["resources"]["requests"].pop("cpu")),
    (promises.probed, lambda m: container(m, "policy").pop("livenessProbe")),
    (promises.budgeted, lambda m: m.remove(named(m, "PodDisruptionBudget", "policy"))),
    (promises.budgeted, lambda m: named(m, "PodDisruptionBudget", "policy")["spec"].update(minAvailable=2)),
    (promises.budgeted, lambda m: named(m, "Deployment", "oracle")["metadata"].pop("annotations")),
    (promises.denied, lambda m: m.remove(named(m, "NetworkPolicy", "nothing"))),
    (promises.denied, lambda m: named(m, "NetworkPolicy", "log")["spec"]["egress"][0].pop("ports")),
    (promises.denied, lambda m: named(m, "NetworkPolicy", "log")["spec"]["egress"][0].pop("to")),
    (promises.denied, lambda m: named(m, "NetworkPolicy", "people")["spec"]["ingress"][0].update({"from": [{}]})),
    (promises.apart, lambda m: named(m, "NetworkPolicy", "log")["spec"]["egress"][0]["ports"].append({"port": 8000})),
    (promises.apart, lambda m: named(m, "NetworkPolicy", "broker")["spec"].update(podSelector={})),
    (promises.followed, lambda m: trigger(m).update(topic="aevolve.RecipeProposed")),
    (promises.followed, lambda m: trigger(m).update(consumerGroup="policy")),
    (promises.followed, lambda m: trigger(m).update(offsetResetPolicy="latest")),
    (promises.unharmed, lambda m: of_kind(m, "ScaledJob")[0]["spec"].pop("rollout")),
    (promises.unharmed, lambda m: of_kind(m, "ScaledJob")[0]["spec"]["jobTargetRef"].update(backoffLimit=6)),
    (promises.unharmed, lambda m: of_kind(m, "ScaledJob")[0]["spec"]["jobTargetRef"].update(parallelism=2)),
    (promises.unharmed, lambda m: container(m, "trainer-jobs").update(args=["serve", "trainer"])),
    (
        promises.unharmed,
        lambda m: of_kind(m, "ScaledJob")[0]["spec"]["jobTargetRef"]["template"]["metadata"]["annotations"].clear(),
    ),
    (promises.unharmed, trigger_of_the_oracle),
    (promises.pinned, lambda m: container(m, "policy").update(image="aevolve-core:latest")),
    (promises.pinned, lambda m: container(m, "policy").update(image="aevolve-worker:0.3.0")),
]
"""A promise, and what breaks it."""


@pytest.mark.parametrize(("promise", "spoil"), BREAKS)
def test_what_breaks_a_promise_is_noticed(promise: promises.Promise, spoil: Break) -> None:
    manifests = rendered("overlays/gpu")
    spoil(manifests)
    assert list(promise(manifests))


def test_every_promise_has_been_seen_to_fail() -> None:
    assert {promise for promise, _ in BREAKS} == set(promises.PROMISES)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_images_are_those_of_this_version(folder: str) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    tags = {c["image"].partition(":")[2] for pod in pods(rendered(folder)) for c in pod.containers}
    assert tags == {project["version"]}


def test_the_hosts_of_a_job_are_as_many_as_torchrun_waits_for() -> None:
    manifests = rendered("overlays/multihost")
    (scaled,) = of_kind(manifests, "ScaledJob")
    settings = {entry["name"]: entry.get("value") for entry in container(manifests, "trainer-jobs")["env"]}
    gpus = container(manifests, "trainer-jobs")["resources"]["limits"]["nvidia.com/gpu"]
    assert settings["NNODES"] == str(scaled["spec"]["jobTargetRef"]["completions"])
    assert settings["NPROC_PER_NODE"] == str(gpus)
    assert named(manifests, "Service", "trainer-hosts")["spec"]["clusterIP"] == "None"


def test_a_gpu_is_asked_for_by_whoever_trains_and_scores_and_by_nobody_else() -> None:
    manifests = rendered("overlays/gpu")
    asking = {p.component for p in pods(manifests) if "nvidia.com/gpu" in p.containers[0]["resources"]["limits"]}
    assert asking == {"trainer-jobs", "oracle"}
    assert not any("gpu" in str(p.spec) for p in pods(rendered("overlays/cpu")))


def test_the_engine_is_chosen_where_the_oracle_has_a_gpu() -> None:
    chosen = {
        overlay: [
            entry["value"]
            for entry in container(rendered(overlay), "oracle")["env"]
            if entry["name"] == "AEVOLVE_ENGINE"
        ]
        for overlay in ("overlays/cpu", "overlays/gpu")
    }
    assert chosen == {"overlays/cpu": [], "overlays/gpu": ["hf"]}


def with_component(folder: Path, overlay: str, component: str) -> list[Manifest]:
    """An overlay of one's own that adds a component."""
    lacking("kubectl")
    mine = shutil.copytree(ROOT, folder / "kubernetes") / "mine"
    mine.mkdir()
    said = {
        "kind": "Kustomization",
        "namespace": "aevolve",
        "resources": [f"../overlays/{overlay}"],
        "components": [f"../{component}"],
    }
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(said))
    return list(yaml.safe_load_all(subprocess.check_output(["kubectl", "kustomize", mine])))


def hold(manifests: list[Manifest]) -> None:
    """Every promise is kept, and Kubernetes knows every field."""
    for promise in promises.PROMISES:
        assert list(promise(manifests)) == []
    for manifest in split(manifests)[0]:
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "multihost"])
def test_with_a_store_of_objects_each_service_has_its_own_keys_of_it(tmp_path: Path, overlay: str) -> None:
    manifests = with_component(tmp_path, overlay, "s3")
    (settings,) = [found for found in of_kind(manifests, "ConfigMap") if found["metadata"]["name"] == "aevolve"]
    assert settings["data"]["AEVOLVE_ARTIFACTS"] == "s3://artifacts"
    keys = {
        (found.component, source["secretRef"]["name"])
        for found in pods(manifests)
        for source in found.spec["containers"][0].get("envFrom", ())
        if "secretRef" in source
    }
    assert keys == {
        ("data", "aevolve-s3-data"),
        ("trainer-jobs", "aevolve-s3-trainer"),
        ("oracle", "aevolve-s3-oracle"),
        ("console", "aevolve-s3-console"),
    }
    hold(manifests)


def test_the_data_service_alone_is_let_out_to_the_web_and_to_no_private_network(tmp_path: Path) -> None:
    manifests = with_component(tmp_path, "cpu", "web")
    hold(manifests)
    out = [m for m in of_kind(manifests, "NetworkPolicy") if "ipBlock" in str(m["spec"])]
    assert [m["metadata"]["name"] for m in out] == ["web"]
    chosen = out[0]["spec"]["podSelector"]["matchLabels"]
    assert chosen["app.kubernetes.io/component"] == "data"
    out[0]["spec"]["egress"][0]["to"][0]["ipBlock"]["except"].remove("169.254.0.0/16")
    assert list(promises.denied(manifests))
