"""The state of the files that events name: as recorded, altered, erased, or on another machine."""

import json
import shutil
from pathlib import Path

import pytest

from audit.artifacts import artifacts
from schemas.envelope import Envelope
from services.data.job import CellPlan, SnapshotPlan
from services.data.snapshot import build
from services.oracle.receipts import Line, write
from services.runtime.storage import object_store
from services.runtime.storage.hashing import hash_file, hash_folder
from services.runtime.storage.object_store import StoreUnreachable

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"


def told(type_, number, **changes):
    """A golden event in an envelope, with some of its values replaced."""
    return Envelope(
        id=f"0192f0c1-2c4b-7000-8000-{number:012}",
        source="aevolve/test",
        type=type_,
        subject="c",
        time="2026-01-01T00:00:00+00:00",
        sequence=number,
        stream_version=number,
        correlationid="c",
        data={**json.loads((GOLDEN / f"{type_}.v1.json").read_text()), **changes},
    )


@pytest.fixture
def events(tmp_path):
    made = build(
        SnapshotPlan(seed="0", cells=(CellPlan(domain="roman", difficulty=1, wording=0, rows=3),)),
        tmp_path / "snapshots",
    )
    adapter = tmp_path / "adapters" / "c" / "r1s0"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    line = Line(domain="roman", item="1", output="IV", correct=True, answer="0" * 64)
    receipt = write([line], tmp_path / "receipts").model_dump()
    published = tmp_path / "fingerprints" / "f"
    published.parent.mkdir()
    published.write_bytes(b"hashes")
    return [
        told("DataBatchReady", 1, snapshot=made.snapshot, uri=made.uri),
        told("CheckpointTrained", 2, uri=str(adapter), sha256=hash_folder(adapter)),
        told("ScoresReported", 3, receipt=receipt),
        told("ScoresReported", 4, receipt=receipt),
        told("FingerprintsPublished", 5, uri=str(published), sha256=hash_file(published)),
    ]


def states(events):
    return {artifact.kind: artifact.state for artifact in artifacts(events)}


def test_what_is_as_recorded_is_present_and_named_once(events):
    assert states(events) == dict.fromkeys(("snapshot", "adapter", "receipt", "fingerprints"), "present")
    assert len(artifacts(events)) == 4


def test_what_was_altered_is_told(events):
    for artifact in artifacts(events):
        place = Path(artifact.uri)
        (place / "more" if place.is_dir() else place).write_text("other")
    assert set(states(events).values()) == {"altered"}


def test_what_was_erased_is_told_while_the_others_are_there(events):
    for artifact in artifacts(events):
        place = Path(artifact.uri)
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        assert states(events)[artifact.kind] == "erased"


def test_all_adapters_of_a_campaign_can_be_erased_at_once(events, tmp_path):
    shutil.rmtree(tmp_path / "adapters" / "c")
    assert states(events)["adapter"] == "erased"


def test_a_machine_without_the_folder_of_artifacts_cannot_tell(events, tmp_path):
    for store in ("snapshots", "adapters", "receipts", "fingerprints"):
        shutil.rmtree(tmp_path / store)
    assert set(states(events).values()) == {"not here"}


@pytest.fixture
def distant(events, tmp_path):
    """The same artifacts in a store of objects."""
    store = f"memory://{tmp_path}"
    for artifact in artifacts(events):
        object_store.upload(Path(artifact.uri), f"{store}/{Path(artifact.uri).relative_to(tmp_path)}")
    moved = [json.loads(event.model_dump_json().replace(str(tmp_path), store)) for event in events]
    return [Envelope.model_validate(event) for event in moved]


def test_a_store_of_objects_shows_what_is_present_altered_or_erased(distant):
    assert states(distant) == dict.fromkeys(("snapshot", "adapter", "receipt", "fingerprints"), "present")
    snapshot, adapter, receipt, _ = (artifact.uri for artifact in artifacts(distant))
    object_store.write(receipt, b"other")
    object_store.write(f"{adapter}/more", b"other")
    object_store.ask(snapshot, lambda system, path: system.rm(path))
    assert states(distant) == {
        "snapshot": "erased",
        "adapter": "altered",
        "receipt": "altered",
        "fingerprints": "present",
    }


def test_a_store_that_cannot_be_asked_cannot_tell_and_is_asked_once(distant, monkeypatch):
    asked = []

    def silent(url, question):
        asked.append(url)
        raise StoreUnreachable(url, "the store does not answer")

    monkeypatch.setattr(object_store, "ask", silent)
    assert set(states(distant).values()) == {"not here"}
    assert len(asked) == 1
