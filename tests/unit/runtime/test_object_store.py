"""Artifacts in a folder and in stores of objects: whole or absent, copied only with the recorded hash, plain errors."""

import os
import subprocess
import sys
import time

import pytest
import s3fs

from services.runtime.settings import BadSetting
from services.runtime.storage import artifacts, object_store
from services.runtime.storage.artifacts import (
    IN_USE_SECONDS,
    MAX_COPIES,
    ArtifactChanged,
    create,
    fetch,
    join,
    open_local,
    read,
    write_once,
)
from services.runtime.storage.hashing import hash_file, hash_folder
from services.runtime.storage.object_store import StoreUnknown, StoreUnreachable, check_store, preload_modules
from tests.s3_server import Cutting, Server


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.down()


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request, tmp_path, monkeypatch):
    """The address of an empty store."""
    if request.param == "s3":
        server = request.getfixturevalue("server")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
    places = {"folder": str(tmp_path / "store"), "memory": f"memory://{tmp_path}", "s3": f"s3://artifacts{tmp_path}"}
    return places[request.param]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(object_store, "TIMEOUT_SECONDS", 0.0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")


def put_folder(uri, scratch, **files):
    with create(uri, scratch) as part:
        part.mkdir()
        for name, text in files.items():
            (part / name).write_text(text)
        return hash_folder(part)


def test_a_file_is_kept_once_and_read_again(store):
    uri = join(store, "receipts", "x.jsonl")
    write_once(uri, lambda: b"first")
    write_once(uri, lambda: b"second")
    assert artifacts.exists(uri)
    assert read(uri) == b"first"


def test_two_writers_of_one_content_do_not_meet(store):
    def meanwhile():
        write_once(uri, lambda: b"same")
        return b"same"

    uri = join(store, "x")
    write_once(uri, meanwhile)
    assert read(uri) == b"same"


def test_a_folder_comes_back_with_its_hash(store, tmp_path):
    uri = join(store, "adapters", "c", "r1s0", "1")
    sha256 = put_folder(uri, tmp_path / "scratch", a="1", b="2")
    folder = fetch(uri, sha256, hash_folder, tmp_path / "copies")
    assert hash_folder(folder) == sha256
    assert artifacts.exists(uri)
    with open_local(uri) as copy:
        assert hash_folder(copy) == sha256


def put_twice(uri, scratch):
    with create(uri, scratch) as part:
        part.mkdir()
        part.mkdir()


def test_what_was_not_written_to_its_end_is_not_there(store, tmp_path):
    uri = join(store, "adapter")
    with pytest.raises(FileExistsError):
        put_twice(uri, tmp_path / "scratch")
    assert not artifacts.exists(uri)
    assert not list((tmp_path / "scratch").glob("*"))
    assert not list((tmp_path / "store").glob("*"))


def test_what_is_missing_is_named(store, tmp_path):
    uri = join(store, "nothing")
    with pytest.raises(FileNotFoundError):
        read(uri)
    with pytest.raises(FileNotFoundError, match="nothing"), open_local(uri) as place:
        place.read_bytes()


def test_an_artifact_in_a_folder_is_read_where_it_lies(tmp_path):
    put_folder(str(tmp_path / "a"), tmp_path, x="1")
    assert fetch(str(tmp_path / "a"), None, hash_folder, tmp_path / "copies") == tmp_path / "a"
    assert not (tmp_path / "copies").exists()


def test_a_changed_object_is_not_given_to_a_job(tmp_path):
    uri = f"memory://{tmp_path}/x"
    write_once(uri, lambda: b"changed")
    with pytest.raises(ArtifactChanged, match=r"its hash is d67e\w+, recorded is 0{64}; restore it"):
        fetch(uri, "0" * 64, hash_file, tmp_path / "copies")
    assert not list((tmp_path / "copies").iterdir())


def test_a_copy_without_a_recorded_hash_is_not_given_to_a_job(tmp_path):
    uri = f"memory://{tmp_path}/x"
    write_once(uri, lambda: b"anything")
    with pytest.raises(ArtifactChanged):
        fetch(uri, None, hash_file, tmp_path / "copies")


def fetched(tmp_path, name):
    (tmp_path / name).write_text(name)
    uri, sha256 = f"memory://{tmp_path}/{name}", hash_file(tmp_path / name)
    write_once(uri, name.encode)
    return fetch(uri, sha256, hash_file, tmp_path / "copies")


def test_a_second_job_does_not_copy_again(tmp_path, monkeypatch):
    copy = fetched(tmp_path, "x")
    monkeypatch.setattr(object_store, "download", None)
    assert fetched(tmp_path, "x") == copy


def test_a_copy_that_was_spoilt_is_made_again(tmp_path):
    fetched(tmp_path, "x").write_text("spoilt")
    assert fetched(tmp_path, "x").read_text() == "x"


def test_copies_that_were_not_used_for_long_are_discarded_beyond_some(tmp_path):
    old = [fetched(tmp_path, f"old{number}") for number in range(MAX_COPIES + 2)]
    for age, copy in enumerate(old):
        os.utime(copy, (time.time() - IN_USE_SECONDS - 1000 + age,) * 2)
    fetched(tmp_path, "new")
    assert [copy.exists() for copy in old] == [False, False, False, *[True] * (MAX_COPIES - 1)]


def test_copies_that_may_still_be_read_are_kept(tmp_path):
    assert all(copy.exists() for copy in [fetched(tmp_path, f"x{number}") for number in range(MAX_COPIES + 2)])


def test_a_name_that_leads_out_of_the_folder_leads_nowhere(server, monkeypatch, tmp_path):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.client.put_object(Bucket="artifacts", Key="a/../../out", Body=b"x")
    object_store.download("s3://artifacts/a", tmp_path / "below" / "copy")
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("out")] == ["below/copy/out"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            "nope://bucket",
            r"AEVOLVE_ARTIFACTS: nope://bucket; no library for it is installed .*pip install 'aevolve\[s3\]'",
        ),
        ("s3://no-such-bucket/x", "AEVOLVE_ARTIFACTS: s3://no-such-bucket/x; there is no such bucket; make it first"),
    ],
)
def test_a_store_that_cannot_be_asked_is_named_at_the_start(server, monkeypatch, place, words):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=words):
        check_store(place)


def test_a_store_of_which_the_library_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(StoreUnknown, match=r"s3://b/x: no library for it is installed .*pip install 'aevolve\[s3\]'"):
        object_store.exists("s3://b/x")


def test_a_folder_and_an_empty_store_may_be_used(store):
    check_store(store)


def test_only_the_library_of_an_address_is_imported_beforehand():
    assert preload_modules("s3://bucket/x") == ("s3fs",)
    assert preload_modules("/shared/artifacts") == preload_modules("memory://x") == preload_modules("s3") == ()


@pytest.fixture
def cutting(server, monkeypatch):
    """Sets the way to the store on which uploads are cut off."""

    def cut(times):
        way = Cutting(server, after=100_000, times=times)
        for name, value in way.environment.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # whose addresses were read from the environment
        return way

    yield cut
    s3fs.S3FileSystem.clear_instance_cache()


def put_large(uri, scratch):
    with create(uri, scratch) as part:
        part.write_bytes(bytes(1_000_000))


def test_an_upload_that_is_cut_off_is_made_again(server, cutting, tmp_path):
    way = cutting(1)
    put_large("s3://artifacts/cut/once", tmp_path)
    assert way.cut == 1
    assert server.client.head_object(Bucket="artifacts", Key="cut/once")["ContentLength"] == 1_000_000


def test_an_upload_that_is_always_cut_off_leaves_nothing(server, cutting, impatient, tmp_path):
    way = cutting(1000)
    with pytest.raises(StoreUnreachable):
        put_large("s3://artifacts/cut/always", tmp_path)
    assert way.cut > 1
    assert "cut/always" not in server.names()


class Refusing:
    """A store that does not answer at first."""

    def __init__(self, times):
        self.left = times

    def __call__(self):
        self.left -= 1
        if self.left >= 0:
            raise StoreUnreachable("s3://b/x", "the store does not answer")
        return "answer"


def test_a_job_outlasts_a_store_that_is_away_for_a_while(monkeypatch):
    monkeypatch.setattr(object_store, "PAUSE_SECONDS", 0.0)
    assert object_store.retry_while_unreachable(Refusing(3)) == "answer"


def test_a_store_that_stays_away_fails_the_try(impatient):
    with pytest.raises(StoreUnreachable, match="s3://b/x: the store does not answer"):
        object_store.retry_while_unreachable(Refusing(1))


def test_a_folder_of_artifacts_needs_no_library(tmp_path):
    lines = (
        "import sys",
        "import services.runtime.main, services.console.cli, services.trainer.app, services.oracle.app",
        "from services.runtime.storage.artifacts import write_once, read",
        f"write_once({str(tmp_path / 'x')!r}, lambda: b'1'), read({str(tmp_path / 'x')!r})",
        "assert not {'fsspec', 's3fs', 'botocore'} & sys.modules.keys()",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
