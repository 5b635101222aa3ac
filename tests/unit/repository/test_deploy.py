"""What deploy/compose.yaml promises without being started: who gets which secret, and that nobody has spare rights."""

import json
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from eventstore.integrity.anchors import read_key, read_public
from schemas.registry import SERVICES

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PARTS = COMPOSE["services"]
OURS = {name: part for name, part in PARTS.items() if part["image"].startswith("aevolve-")}
RUNNING = {name: part for name, part in OURS.items() if "restart" in part}
ROLES = (*SERVICES, "exporter")
"""Of the database, as whom somebody here logs in."""


def holders(secret):
    return {name for name, part in PARTS.items() if secret in part.get("secrets", ())}


@pytest.fixture
def secrets(tmp_path):
    return make_secrets(tmp_path / "secrets")


def make_secrets(folder):
    subprocess.run([DEPLOY / "secrets.sh", folder], check=True)
    return folder


def test_the_sealed_sets_key_is_given_to_the_oracle_alone():
    assert {name.removesuffix("-gpu") for name in holders("oracle.key")} == {"oracle"}
    assert {name.removesuffix("-gpu") for name in holders("anchor.key")} == {"oracle"}


def test_receipts_are_written_by_the_oracle_and_read_by_people_alone():
    seen = {name: volume for name, part in OURS.items() for volume in part.get("volumes", ()) if "receipts:" in volume}
    assert {name for name, volume in seen.items() if not volume.endswith(":ro")} == holders("oracle.key")
    assert seen.keys() <= holders("oracle.key") | holders("console")


@pytest.mark.parametrize("service", ROLES)
def test_a_roles_password_is_known_to_its_service_and_to_who_sets_it(service):
    others = {name for name in holders(service) if name != "migrate"}
    assert others
    assert all(PARTS[name]["environment"]["AEVOLVE_PASSWORD_FILE"] == f"/run/secrets/{service}" for name in others)
    assert all(len(set(PARTS[name]["secrets"]) & set(ROLES)) == 1 for name in others)


def test_the_owners_password_is_known_to_the_database_and_to_who_sets_it_up():
    assert holders("owner") == {"postgres", "migrate"}


@pytest.mark.parametrize("name", PARTS)
def test_every_container_is_confined(name):
    part = PARTS[name]
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert part["mem_limit"]
    assert name == "postgres" or "cap_add" not in part
    assert not part.get("privileged")


@pytest.mark.parametrize("name", OURS)
def test_our_root_file_systems_are_read_only(name):
    assert OURS[name]["read_only"] is True


@pytest.mark.parametrize("name", RUNNING)
def test_what_stays_starts_again_and_says_how_it_is(name):
    assert RUNNING[name]["restart"] == "unless-stopped"
    assert "disable" not in RUNNING[name].get("healthcheck", {})


def test_nothing_is_published_but_on_this_machine():
    ports = [port for part in PARTS.values() for port in part.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_data_service_alone_is_let_out_to_the_web_where_somebody_asks_for_it():
    added = yaml.safe_load((DEPLOY / "compose.web.yaml").read_text())
    assert added == {"services": {"data": {"networks": ["web"]}}, "networks": {"web": None}}
    assert PARTS["data"]["networks"] == ["inside"]


def test_the_page_comes_up_by_itself_and_asks_for_its_token():
    console = PARTS["console"]
    assert "profiles" not in console
    assert console["environment"]["AEVOLVE_CONSOLE_TOKEN_FILE"] == "/run/secrets/console.token"
    assert holders("console.token") == {"console"}


def test_images_are_named_as_in_the_manifests_and_each_is_built_once():
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    targets = {f"aevolve-{target}:{version}" for target in ("core", "cpu", "gpu")}
    assert {part["image"] for part in OURS.values()} == targets
    built = [(part["image"], part["build"]["target"]) for part in OURS.values() if "build" in part]
    assert sorted(built) == sorted((image, image.partition(":")[0].removeprefix("aevolve-")) for image in targets)
    manifests = (DEPLOY / "kubernetes" / "overlays").rglob("kustomization.yaml")
    named = [image for file in manifests for image in yaml.safe_load(file.read_text()).get("images", ())]
    assert {f"{image['newName']}:{image['newTag']}" for image in named} == targets


def test_the_engine_of_the_oracle_is_chosen_on_a_gpu_alone_and_may_write_where_it_works():
    environment = PARTS["oracle-gpu"]["environment"]
    assert environment.items() >= PARTS["oracle"]["environment"].items()
    assert environment["AEVOLVE_ENGINE"] == "${AEVOLVE_ENGINE:-hf}"
    assert environment["AEVOLVE_WORK"].startswith(PARTS["oracle-gpu"]["tmpfs"][0])
    assert [name for name, part in OURS.items() if "AEVOLVE_ENGINE" in part.get("environment", ())] == ["oracle-gpu"]


def test_trainers_may_be_many():
    assert not {"container_name", "hostname", "ports"} & PARTS["trainer"].keys()


def test_the_script_makes_every_secret_that_is_named(secrets):
    named = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert named <= {file.name for file in secrets.iterdir()}


def test_only_the_owner_of_the_folder_reads_them_and_containers_of_any_user(secrets):
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()} == {0o444}


def test_secrets_are_long_differ_and_are_never_made_again(secrets):
    made = {file.name: file.read_bytes() for file in secrets.iterdir()}
    assert len(set(made.values())) == len(made)
    assert min(map(len, made.values())) >= 64
    assert {file.name: file.read_bytes() for file in make_secrets(secrets).iterdir()} == made


def test_the_anchors_keys_belong_together(secrets):
    assert read_key(secrets / "anchor.key").public == read_public(str(secrets / "anchor.pub"))


def test_no_secret_stands_in_the_repository():
    ignored = (DEPLOY.parent / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in ignored
    first, *shown = [
        line for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines() if line and line[0] != "#"
    ]
    assert first == "*"
    assert not any("secrets" in line for line in shown)


def rights():
    """(user, kind of artifact) -> whether it may be written, as the store's policy says."""
    found = {}
    for said in json.loads((DEPLOY / "s3" / "policy.json").read_text())["Statement"]:
        kind = said["Resource"].removeprefix("arn:aws:s3:::artifacts").strip("/*")
        for user in said["Principal"]["AWS"] if kind else ():
            found[user, kind] = "s3:PutObject" in said["Action"]
    return found


def test_the_store_of_objects_lets_each_service_do_what_its_volumes_do():
    mounted = {}
    for name in ("data", "trainer", "oracle", "console"):
        for volume in PARTS[name]["volumes"]:
            source, target, *mode = volume.rsplit(":", 2) if volume.endswith(":ro") else volume.rsplit(":", 1)
            if target == f"/artifacts/{source}":
                mounted[name, source] = not mode
    assert rights() == mounted


def test_each_service_has_its_own_key_of_the_store():
    for user, _ in rights():
        files = [PARTS[part]["environment"]["AWS_SHARED_CREDENTIALS_FILE"] for part in holders(f"s3.{user}")]
        assert set(files) == {f"/run/secrets/s3.{user}"}
        assert {part.removesuffix("-gpu") for part in holders(f"s3.{user}")} <= {user, "start", "cli"}
    assert holders("s3.root") == {"s3", "s3-setup"}


def test_the_store_knows_the_keys_that_the_services_have(secrets):
    accounts = json.loads((secrets / "s3.users").read_text())["accessAccounts"]
    for name, account in accounts.items():
        keys = (secrets / f"s3.{name}").read_text()
        assert keys == f"[default]\naws_access_key_id = {name}\naws_secret_access_key = {account['secret']}\n"
        assert account["role"] == "user"
    assert accounts.keys() == {user for user, _ in rights()}
