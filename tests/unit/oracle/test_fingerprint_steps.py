"""Fingerprints are owed once, where a campaign collects data and wants it clean; its data waits for them."""

from datetime import UTC, datetime

import pytest

from audit.rebuild import CampaignJobs
from eventstore.effect import NOTHING
from eventstore.work import Job
from judgement.history import History, fold
from schemas.events import FingerprintsPublished
from schemas.evidence import Basis
from schemas.scores import Cost, Receipt
from schemas.sources import DataRule
from services.data.steps import refresh
from services.oracle.fingerprints.job import FINGERPRINTING, finished, prepare, publish_fingerprints
from services.oracle.fingerprints.work import Published
from services.oracle.orders import FINGERPRINTS
from services.runtime.jobs.runner import JobFailed
from services.runtime.settings import Settings
from tests.typed import instance
from tests.unit.console_events import SHA, Log

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def begun(**filters):
    """A campaign that collects data, or one that does not where no filters are given."""
    log = Log()
    if filters:
        source = {"kind": "files", "name": "texts", "domain": "web", "paths": ["texts.jsonl"], "licence": "CC0-1.0"}
        rule = DataRule.model_validate({"sources": [source], "filters": filters})
        law = log.campaign.constitution.model_copy(update={"data": rule})
        log.campaign = log.campaign.model_copy(update={"constitution": law})
    log.start()
    return log


def state(log):
    return fold(log.id, log.envelopes)


def publish(log):
    basis = Basis(position=1, digest=SHA, seed=0)
    event = FingerprintsPublished(uri="prints", sha256=SHA, items=2, ngrams=24, cost=Cost(seconds=1.0), basis=basis)
    log.say(f"{log.id}/fingerprints", event)


def test_a_campaign_that_collects_nothing_is_owed_none_and_waits_for_none():
    log = begun()
    assert publish_fingerprints(state(log), NOW) == NOTHING
    log.policy(1)
    (work,) = refresh(state(log), NOW).work
    assert "fingerprints" not in work.payload


def test_one_that_wants_no_decontamination_is_owed_none():
    log = begun(decontaminate=False)
    assert publish_fingerprints(state(log), NOW) == NOTHING
    log.policy(1)
    assert refresh(state(log), NOW).work


def test_the_data_waits_until_they_are_published_and_is_told_where_they_lie():
    log = begun(decontaminate=True)
    log.policy(1)
    assert refresh(state(log), NOW) == NOTHING
    assert len(publish_fingerprints(state(log), NOW).work) == 1
    publish(log)
    assert publish_fingerprints(state(log), NOW) == NOTHING
    (work,) = refresh(state(log), NOW).work
    assert work.payload["fingerprints"] == {"uri": "prints", "sha256": SHA}


def test_publishing_is_charged():
    log = begun(decontaminate=True)
    publish(log)
    assert state(log).spent.seconds == 1.0


def job(log):
    (work,) = publish_fingerprints(state(log), NOW).work
    return Job(1, FINGERPRINTS, work.key, log.id, work.payload, 1, work.attempts, None, None, None, None)


def test_the_job_says_what_it_published_and_what_it_cost():
    published = Published(
        receipt=Receipt(uri="prints", sha256=SHA), items=2, ngrams=24, seconds=1.23456, device_seconds=1.0
    )
    log = begun(decontaminate=True)
    (append,) = finished(job(log), published).events
    event = instance(FingerprintsPublished, append.event)
    assert event.items == 2
    assert event.cost.seconds == 1.235
    assert append.expected == 0


def test_without_the_oracles_key_it_names_the_setting(tmp_path):
    asked = job(begun(decontaminate=True))
    with pytest.raises(JobFailed, match="AEVOLVE_ORACLE_KEY_FILE"):
        prepare(asked, Settings(oracle_key_file=None))
    (tmp_path / "key").write_bytes(b"0" * 16)
    assert prepare(asked, Settings(oracle_key_file=tmp_path / "key")).key_file == str(tmp_path / "key")
    assert "KeyMissing" not in FINGERPRINTING.permanent, "the first round waits for it, so it is tried again"


def test_the_job_is_found_again_from_the_log():
    log = begun(decontaminate=True)
    publish(log)
    jobs = CampaignJobs(History(log.id))
    for envelope in log.envelopes:
        jobs.take(envelope)
    (rebuilt,) = [one for one in jobs.rebuilt() if one.work.queue == FINGERPRINTS]
    assert rebuilt.states == ("done",)
