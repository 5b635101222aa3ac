"""A campaign file with sources of the web, a WARC, JSON lines and a model's own answers, through two rounds."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from schemas.base import canonical_json
from schemas.rows import Row
from services.console.campaign_file import load
from services.console.commands import data
from services.data.collect import manifest as manifests
from services.runtime.storage.hashing import hash_file, hash_folder, hash_parquet
from services.runtime.user_error import UserError
from services.trainer.rows import draws, read
from tests.brokers import broker
from tests.cluster import Cluster, until
from tests.conftest import PASSWORDS
from tests.tiny_models import make_model
from tests.typed import instance, there
from tests.unit.data.test_collected import GOOD, notes, sums, text
from tests.unit.data.test_sources_warc import answer, record, write
from tests.unit.loopworld import campaign
from tests.web_server import serving

"""A real data job loads filters and a model; where eight share two cores that takes minutes."""


def page(number: int) -> bytes:
    return f"<html><body><article><p>{text(number)}</p><p>{text(number + 100)}</p></article></body></html>".encode()


def feed(site, *numbers: int) -> bytes:
    items = "".join(f"<item><link>{site.url}/{n}</link></item>" for n in numbers)
    return f"<?xml version='1.0'?><rss version='2.0'><channel>{items}</channel></rss>".encode()


def recorded(number: int) -> bytes:
    return instance(bytes, record(f"http://example.org/{number}", answer(page(number))))


@pytest.fixture
def site():
    with serving() as served:
        served.page("/robots.txt", b"User-agent: *\nDisallow: /private\n", "text/plain")
        for number in range(6):
            served.page(f"/{number}", page(number))
        served.page("/private", page(99))
        served.page("/feed", feed(served, 0, 1, 2), "application/rss+xml")
        yield served


def file(folder: Path, site) -> Path:
    """The campaign file, and the files that it names."""
    write(folder / "crawl.warc.gz", [recorded(10), recorded(11), recorded(0)])  # the last is on the site, too
    notes(folder, range(20, 24))
    sums(folder, [*GOOD, ("Nine ships of four masts, so how many masts are there?", "36", "9*4=35")])
    web = {"pages": [f"{site.url}/private"], "feeds": [f"{site.url}/feed"], "per_second": 100, "private": True}
    ask = {"prompt": "q", "answer": "a", "trace": "t"}
    sources = [
        {"kind": "web", "name": "site", "domain": "prose", "licence": "CC0-1.0", **web},
        {"kind": "warc", "name": "crawl", "domain": "prose", "paths": [str(folder / "*.warc.gz")]},
        {"kind": "files", "name": "notes", "domain": "prose", "paths": [str(folder / "notes.jsonl")], "cap": 3},
        {"kind": "files", "name": "sums", "domain": "sums", "paths": [str(folder / "sums.jsonl")], **ask},
        {"kind": "self", "name": "own", "domain": "roman", "prompts_per_round": 4, "samples": 2},
    ]
    data = {"sources": sources, "filters": {"quality": []}, "rows": 100, "variants": 1}
    asked = json.loads(canonical_json(campaign(rounds=2)))
    asked["constitution"]["data"] = data
    for sealed in asked["constitution"]["evaluation"].values():
        sealed["items"] = 5  # the stub measures as many as it likes; the fingerprints are of these
    (folder / "collected.yaml").write_text(yaml.safe_dump(asked))
    return folder / "collected.yaml"


@pytest.fixture
def cluster(tmp_path, database):
    with broker(tmp_path) as its_broker:
        running = Cluster(tmp_path / "cluster", database, PASSWORDS, its_broker, STUB_REAL="data")
        running.start()
        yield running
        running.stop()


def rows_of(made) -> list[Row]:
    return [row for cell in read(made.uri).values() for row in cell]


async def test_a_campaign_collects_round_after_round_and_accounts_for_every_row(tmp_path, site, cluster, capsys):
    asked = load(file(tmp_path, site))
    base = make_model(tmp_path / "base")
    store = await cluster.console()
    await cluster.begin(store, "collects", asked, base_uri=str(base), base_sha256=hash_folder(base))
    first = (await until(store, "collects", lambda h: 1 in h.snapshots)).snapshots[1]
    asked_before = list(site.asked)
    site.page("/feed", feed(site, 3, 0, 1, 2), "application/rss+xml")
    notes(tmp_path, [24])
    history = await until(store, "collects", lambda h: h.finished is not None)
    second = history.snapshots[2]
    await store.close()

    assert not first.reused
    assert not second.reused
    whole_and_equal_to_its_name(first)
    accounted(first)
    accounted(second)
    only_what_is_new_was_fetched(asked_before, site.asked[len(asked_before) :])
    before, after = ({row.uri for row in rows_of(made) if row.source == "site"} for made in (first, second))
    assert before == {f"{site.url}/{n}" for n in (0, 1, 2)}
    assert after == before | {f"{site.url}/3"}
    drawn = draws(history.campaign.recipe, read(second.uri), seed=0)
    assert {next(drawn)[0].domain for _ in range(500)} == set(asked.constitution.training_domains)
    await inspected(second, tmp_path, cluster, capsys)


def whole_and_equal_to_its_name(made) -> None:
    assert hash_parquet(Path(made.uri)) == made.snapshot
    for stored in (made.card, made.harvest):
        assert hash_file(Path(stored.uri)) == stored.sha256


def accounted(made) -> None:
    """Every row of every source is in the snapshot or stands in the event, on the card and among the drops."""
    rows, card = Counter(row.source for row in rows_of(made)), Path(made.card.uri).read_text()
    gave = {one.source: one for one in made.yields if one.source != "puzzles"}
    for one in gave.values():
        assert one.made == one.kept + sum(one.dropped.values())
        assert one.kept == rows[one.source]
        line = re.search(rf"^\| {one.source} \| \w+ \| {one.domain} \|(.*)\|$", card, re.MULTILINE)
        seen, skipped, given, dropped, left, kept = (int(n.replace(",", "")) for n in there(line)[1].split("|"))
        assert (seen, given) == (skipped + given, dropped + left + kept)
        assert (given, kept, skipped) == (one.made, one.kept, sum(one.skipped.values()))
    assert gave["site"].skipped == {"robots": made.round}
    assert gave["crawl"].dropped == {"duplicate/exact": 1}
    assert gave["sums"].dropped == {"verifier/wrong_step": 1}
    assert gave["notes"].dropped["balance/cap"] == 1 + (made.round == 2)
    assert sum(row.parent != "" for row in rows_of(made) if row.source == "sums") == len(GOOD)
    manifest = manifests.read(made.harvest, Path())
    drops = [
        drop
        for shard in manifest.drops
        for drop in manifests.lines(shard, manifests.folder_of(made.harvest.uri), Path())
    ]
    assert len(drops) == sum(n for one in gave.values() for why, n in one.dropped.items() if "balance" not in why)


def only_what_is_new_was_fetched(before: list[str], after: list[str]) -> None:
    assert Counter(path for path in before if path != "/robots.txt") == dict.fromkeys(["/feed", "/0", "/1", "/2"], 1)
    assert "/private" not in before + after
    assert [path for path in after if path not in ("/robots.txt", "/feed", "/feed?")] == ["/3"]


async def inspected(made, folder: Path, cluster, capsys) -> None:
    """What `aevolve data inspect` prints, from an export of the log."""
    store = await cluster.console()
    log = folder / "log.jsonl"
    log.write_text("".join(f"{e.model_dump_json()}\n" for e in [e async for e in store.read()]))
    await store.close()
    await data.inspect(made.snapshot[:10], 2, log, None)
    said = capsys.readouterr().out
    assert f"snapshot {made.snapshot}" in said
    assert "sums: verifier/wrong_step" in said
    assert "9*4=35" in said
    assert "robots 2" in said
    assert text(3)[:40] in said or "prose:" in said
    with pytest.raises(UserError, match=r"SNAPSHOT: 'nosuch' is not in the log"):
        await data.inspect("nosuch", 2, log, None)
