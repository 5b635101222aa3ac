"""A package from outside adds a source and a filter: by an entry point, without a change here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.base import canonical_json
from schemas.registry import json_schema
from schemas.sources import DataRule, FilterRule, PluginSource, WebSource
from services.data.filters.filter import Dropped, judged
from services.data.filters.registry import make_filters
from services.data.plugins import PluginInvalid, check_plugins
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext, SourceFailed
from tests.harvests import Harvest

MODULE = """
from pydantic import BaseModel
from schemas.rows import Row
from services.data.filters.filter import Dropped
from services.data.sources.source import Step

class Countdown:
    class Options(BaseModel):
        start: int

    def __init__(self, spec, context):
        self.name, self.spec, self.round = spec.name, spec, context.round
        self.start = self.Options(**spec.options).start

    def harvest(self, state):
        for n in range(self.start, 0, -1):
            text = f"round {self.round}: {n}"
            yield Step((Row(self.spec.domain, 0, 0, "", "", text, text, self.name),), {"last": n})

class NoRound:
    name = "no_round"

    def __init__(self, spec):
        self.word = spec.options["word"]

    def judge(self, row):
        return Dropped(self.name, "word") if self.word in row.trace else row
"""
ENTRY_POINTS = """
[aevolve.sources]
countdown = other_data_package:Countdown
[aevolve.filters]
no_round = other_data_package:NoRound
"""


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch):
    about = tmp_path / "other_data_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "other_data_package.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("other_data_package", None)


def rule(filters=(), **source) -> DataRule:
    given = {"kind": "countdown", "name": "count", "domain": "prose", **source}
    return DataRule.model_validate({"sources": [given], "filters": {"plugins": filters}})


@pytest.mark.usefixtures("_installed")
def test_a_source_of_another_data_package_is_checked_and_harvested():
    data = rule(options={"start": 3})
    check_plugins(data)
    harvest = Harvest().go_on(make_source(data.sources[0], RoundContext(2)))
    assert harvest.texts == ["round 2: 3", "round 2: 2", "round 2: 1"]


@pytest.mark.usefixtures("_installed")
def test_wrong_options_of_a_source_are_named_when_the_file_is_loaded():
    with pytest.raises(PluginInvalid, match=r"data\.sources: count: options\.start of kind 'countdown': 'x'; "):
        check_plugins(rule(options={"start": "x"}))


@pytest.mark.usefixtures("_installed")
def test_a_filter_of_another_data_package_drops_rows():
    data = rule([{"kind": "no_round", "options": {"word": "blue"}}], options={"start": 1})
    check_plugins(data)
    filters = make_filters(data.filters.model_copy(update={"languages": (), "quality": (), "min_words": 0}))
    rows = Harvest().go_on(make_source(data.sources[0], RoundContext(1))).rows
    assert [judged(filters, row) for row in rows] == rows
    hit = data.filters.plugins[0].model_copy(update={"options": {"word": "round"}})
    filters = make_filters(FilterRule(languages=(), quality=(), min_words=0, plugins=(hit,)))
    assert judged(filters, rows[0]) == Dropped("no_round", "word")


def test_a_kind_that_no_package_registers_is_named():
    data = rule(options={"start": 3})
    message = r"data\.sources: count: kind 'countdown' is not one of .*web.*; correct it, or install the package"
    with pytest.raises(PluginInvalid, match=message):
        check_plugins(data)
    with pytest.raises(SourceFailed, match=message):
        make_source(data.sources[0], RoundContext(1))
    with pytest.raises(PluginInvalid, match=r"data\.filters\.plugins: kind 'none' is not one of no installed filters"):
        check_plugins(
            DataRule(
                sources=(WebSource(name="w", domain="d", pages=("http://a",)),),
                filters=FilterRule(plugins=({"kind": "none"},)),
            )
        )


def test_a_misspelt_kind_with_its_own_fields_is_no_plugin():
    with pytest.raises(
        ValidationError, match="kind should be one of web, warc, files, hub, gym, suite, self, or a plug-in's"
    ):
        rule(kind="wbe", pages=["http://a"])


def test_the_log_keeps_a_plugin_source_and_the_published_schema_its_own_kinds_only():
    data = rule(options={"start": 3})
    assert DataRule.model_validate_json(canonical_json(data)) == data
    assert isinstance(data.sources[0], PluginSource)
    assert "PluginSource" not in json_schema("CampaignStarted")["$defs"]
