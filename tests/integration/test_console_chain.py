"""`aevolve verify`, `export` and `import` on a real log."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from eventstore.effect import Append
from eventstore.integrity.anchors import make_key, read_key
from eventstore.integrity.chain import next_hash
from eventstore.row import Row
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from services.console.anchors import AnchorSources
from services.console.commands import chain
from services.runtime.user_error import UserError
from tests.conftest import PASSWORDS, create_database
from tests.typed import there

ALONE = AnchorSources()
"""The chain without anchors."""
OUTSIDE = "ALTER TABLE events {} TRIGGER events_append_only"


@pytest.fixture(autouse=True)
async def store(stores, database, monkeypatch):
    """The log of the environment, with more than two events."""
    monkeypatch.setenv("AEVOLVE_POSTGRES", database)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])
    policy = await stores("policy")
    await policy.append([Append("c", "c", AdvisorFailed(error="é", message=str(n))) for n in range(3)])
    return policy


@pytest.fixture
async def exported(tmp_path):
    await chain.export(tmp_path / "log.jsonl", None)
    return tmp_path / "log.jsonl"


@pytest.fixture
def key(tmp_path):
    """A private key."""
    make_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
async def empty(postgres, migrated, request):
    return await create_database(postgres, f"new_{abs(hash(request.node.name))}", migrated)


def edit(file, number, **changes):
    """Change a line of a file, or with nothing to change remove it."""
    lines = file.read_text().splitlines(keepends=True)
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), **changes}) + "\n" if changes else ""
    file.write_text("".join(lines))


async def test_a_whole_log_verifies_and_an_altered_one_names_its_position(store, owner, capsys):
    assert await chain.verify_chain(None, None, ALONE) == 0
    head = await store.verify({})
    assert capsys.readouterr().out == f"{head.position} events, head {head.hash.hex()}\n"
    await owner.execute(OUTSIDE.format("DISABLE"))
    await owner.execute("UPDATE events SET campaign = 'x' WHERE position = 2")
    assert await chain.verify_chain(None, None, ALONE) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("broken at position 2: the event was altered")
    await owner.execute("UPDATE events SET campaign = 'c' WHERE position = 2")
    await owner.execute(OUTSIDE.format("ENABLE ALWAYS"))
    assert await chain.verify_chain(None, None, ALONE) == 0


async def test_each_success_adds_an_anchor_and_the_next_is_compared_with_all(store, tmp_path, key, capsys):
    told = AnchorSources(tmp_path / "anchors.jsonl", sign=key)
    for number in range(2):
        assert await chain.verify_chain(None, None, told) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1 + number  # the second tells what it compared with
        await store.append([Append("c", "c", AdvisorFailed(error="E", message="m"))])
    heads = [json.loads(line) for line in there(told.file).read_text().splitlines()]
    assert [set(head) for head in heads] == [{"position", "hash", "time", "key", "signature"}] * 2
    assert heads[1]["position"] == heads[0]["position"] + 1
    assert await chain.verify_chain(None, None, AnchorSources(told.file, keys=(read_key(key).public.hex(),))) == 0
    assert f"anchors that agree: 2, the last at position {heads[1]['position']}" in capsys.readouterr().out
    assert len(there(told.file).read_text().splitlines()) == 2


async def test_an_export_has_every_attribute_and_verifies_by_itself(store, exported, tmp_path, capsys):
    rows = [Row.from_json(line) for line in exported.read_text().splitlines()]
    assert rows == [row async for row in store.rows()]
    assert json.loads(rows[-1].data)["error"] == "é"
    assert await chain.verify_chain(None, exported, ALONE) == 0
    assert list(tmp_path.iterdir()) == [exported]


async def test_an_export_goes_to_standard_output_too(exported, capsys):
    await chain.export(Path("-"), None)
    assert capsys.readouterr().out == exported.read_text()


@pytest.mark.parametrize(
    ("number", "changes", "position"),
    [(2, {"campaign": "x"}, 2), (2, {}, 2), (3, {"position": 4}, 3), (1, {"hash": "11" * 32}, 1)],
)
async def test_an_altered_export_is_found_and_not_imported(exported, empty, number, changes, position, capsys):
    edit(exported, number, **changes)
    assert await chain.verify_chain(None, exported, ALONE) == 1
    assert capsys.readouterr().out.startswith(f"broken at position {position}: ")
    with pytest.raises(UserError, match=f"position {position}: .*; nothing was imported"):
        await chain.import_file(exported, empty, ALONE)
    async with await EventStore.open(empty, service="console", password=PASSWORDS["console"]) as other:
        assert await other.head() == 0


async def test_an_export_that_was_cut_is_found_by_an_anchor_and_not_imported(exported, empty, tmp_path, key, capsys):
    told = AnchorSources(tmp_path / "anchors.jsonl", sign=key)
    assert await chain.verify_chain(None, exported, told) == 0
    length = len(exported.read_text().splitlines())
    edit(exported, length)
    assert await chain.verify_chain(None, exported, ALONE) == 0
    assert await chain.verify_chain(None, exported, told) == 1
    assert f"broken at position {length}: the event is missing" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"position {length}: the event is missing.*nothing was imported"):
        await chain.import_file(exported, empty, told)
    async with await EventStore.open(empty, service="console", password=PASSWORDS["console"]) as other:
        assert await other.head() == 0
    await chain.import_file(exported, empty, ALONE)


async def test_an_export_is_imported_once(exported, empty, tmp_path, monkeypatch, capsys):
    await chain.import_file(exported, empty, ALONE)
    imported = capsys.readouterr().out
    monkeypatch.setenv("AEVOLVE_POSTGRES", empty)
    assert await chain.verify_chain(None, None, ALONE) == 0
    assert capsys.readouterr().out == imported
    await chain.export(tmp_path / "again.jsonl", None)
    assert (tmp_path / "again.jsonl").read_bytes() == exported.read_bytes()
    with pytest.raises(UserError, match=r"--dsn: .*the log holds events already.*import into a new database"):
        await chain.import_file(exported, empty, ALONE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2**31}, "line 1: version: 2147483648"),
        ({"time": "yesterday"}, "line 1: time: 'yesterday'"),
        ({"colour": "red"}, "line 1: colour: 'red'"),
        ({"hash": "abc"}, "line 1: hash: 'abc'"),
    ],
)
async def test_a_line_that_is_no_row_is_told(exported, changes, words):
    edit(exported, 1, **changes)
    with pytest.raises(UserError, match=f"{words}.*: write it with `aevolve export`"):
        await chain.verify_chain(None, exported, ALONE)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"position": 1}', "line 1: id: "),  # as the report's log.jsonl, which has no hashes
        ("[]", "line 1: 0: "),
        ('{"position": 1, "id', "line 1: all of it: "),
        ('{"position": 1, "campaign": "\\ud800"}', "line 1: all of it: "),
    ],
)
async def test_a_file_of_another_kind_is_told(tmp_path, line, words):
    (tmp_path / "log.jsonl").write_text(f"{line}\n")
    with pytest.raises(UserError, match=f"{words}.*: write it with `aevolve export`"):
        await chain.verify_chain(None, tmp_path / "log.jsonl", ALONE)


@pytest.mark.parametrize("changes", [{"data": "no json"}, {"campaign": "\0"}, {"causation": UUID(int=7)}])
async def test_a_chain_over_what_the_database_cannot_hold_is_told(exported, empty, changes):
    row = Row.from_json(exported.read_text().splitlines()[0])
    row = row._replace(**changes)
    forged = row._replace(hash=next_hash(bytes(32), row))
    exported.write_text(f"{forged.to_json()}\n")
    with pytest.raises(UserError, match=r"log.jsonl: .*; nothing was imported"):
        await chain.import_file(exported, empty, ALONE)


async def test_places_that_cannot_be_written_are_told(tmp_path, key):
    with pytest.raises(UserError, match=r"FILE: .*cannot be written"):
        await chain.export(tmp_path / "none" / "log.jsonl", None)
    with pytest.raises(UserError, match=r"--anchor: .*cannot be written"):
        await chain.verify_chain(None, None, AnchorSources(tmp_path / "none" / "anchors.jsonl", sign=key))


async def test_a_database_that_cannot_take_a_log_is_told(exported, postgres):
    bare = await create_database(postgres, "bare_of_schema")
    for dsn in ("postgresql://127.0.0.1:1/aevolve", "nonsense", bare):
        with pytest.raises(UserError, match=r"--dsn: .*start the database.*aevolve migrate"):
            await chain.import_file(exported, dsn, ALONE)
