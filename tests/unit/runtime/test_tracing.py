"""Spans as the log carries them: each event its own, decisions linked to their grounds, and no words of a failure."""

from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span

from eventstore.effect import Append, Effect
from eventstore.work import Job
from schemas.envelope import Envelope
from schemas.events import CampaignPaused
from services.runtime.reactor import CampaignTraces
from services.runtime.settings import BadVariable
from services.runtime.telemetry.tracing import TRACER, append_spans, job_span, mark_failed, span, traceparent
from services.runtime.telemetry.tracing_setup import export_spans, exporter_name

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
OTHER = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"


@pytest.fixture
def spans():
    """Spans that have ended, in their order."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    outside = TRACER.set(provider.get_tracer("test"))
    yield exporter.get_finished_spans
    TRACER.reset(outside)


def paused(subject="c"):
    return Append("c", subject, CampaignPaused(by="b", reason="r"))


def decision(type_="DriftAssessed", **fields):
    """An event with a ground; only its name and fields matter here."""
    kind = type(type_, (SimpleNamespace,), {})
    return Append("c", "c/round/1", kind(basis=object(), **fields))


def context(text):
    _, trace, span_id, _ = text.split("-")
    return int(trace, 16), int(span_id, 16)


def test_a_span_continues_the_trace_of_its_parent(spans):
    with span("work", parent=PARENT):
        pass
    (only,) = spans()
    assert (only.context.trace_id, only.parent.span_id) == context(PARENT)


def test_what_begins_within_a_span_is_under_it(spans):
    with span("outer", parent=PARENT), span("inner"):
        pass
    inner, outer = spans()
    assert inner.parent.span_id == outer.context.span_id
    assert not get_current_span().get_span_context().is_valid


def test_each_event_is_appended_with_the_context_of_its_own_span(spans):
    with span("handle", parent=PARENT), append_spans(Effect((paused("c/a"), paused("c/b")))) as effect:
        pass
    first, second = (append.traceparent for append in effect.events)
    assert first != second
    appends = {one.context.span_id: one for one in spans() if one.name == "append CampaignPaused"}
    assert {context(first)[1], context(second)[1]} == set(appends)
    assert {one.parent.span_id for one in appends.values()} == {
        s.context.span_id for s in spans() if s.name == "handle"
    }


def test_a_decision_is_linked_to_what_it_rests_on_and_other_events_are_not(spans):
    with append_spans(Effect((decision(), paused())), [PARENT, OTHER]):
        pass
    links = {one.name: [(link.context.trace_id, link.context.span_id) for link in one.links] for one in spans()}
    assert links == {"append DriftAssessed": [context(PARENT), context(OTHER)], "append CampaignPaused": []}


def test_a_new_policy_ends_the_trace_of_its_round_and_begins_the_next(spans, monkeypatch):
    from services.runtime.telemetry import tracing

    policy = decision("PolicyUpdated", policy=SimpleNamespace(round=3))
    monkeypatch.setattr(tracing, "PolicyUpdated", type(policy.event))
    with span("handle", parent=PARENT), append_spans(Effect((policy,))) as effect:
        pass
    by_name = {one.name: one for one in spans()}
    assert by_name["append PolicyUpdated"].context.trace_id == context(PARENT)[0]
    opened = by_name["round"]
    assert context(effect.events[0].traceparent) == (opened.context.trace_id, opened.context.span_id)
    assert opened.context.trace_id != context(PARENT)[0]
    assert [link.context.span_id for link in opened.links] == [by_name["append PolicyUpdated"].context.span_id]
    assert opened.attributes["aevolve.round"] == 3


def test_a_failure_is_told_by_its_class_and_never_by_its_words(spans):
    with pytest.raises(ValueError, match="a prompt"), span("work"):
        raise ValueError("a prompt that nobody may read")
    (only,) = spans()
    assert only.status.status_code is StatusCode.ERROR
    assert only.attributes["error.type"] == "ValueError"
    assert "prompt" not in only.to_json()


def test_a_job_is_under_the_event_that_led_to_it_and_says_how_it_ended(spans):
    job = Job(1, "train", "c/r1s0", "c", {"secret": "payload"}, 2, 3, None, None, None, UUID(int=1), traceparent=PARENT)
    with job_span(job, "w"):
        mark_failed("WorkerLost")
    (only,) = spans()
    assert only.parent.span_id == context(PARENT)[1]
    assert only.attributes["error.type"] == "WorkerLost"
    assert "payload" not in only.to_json()


def test_without_the_sdk_an_event_is_appended_with_the_context_of_its_cause():
    with span("handle", parent=PARENT), append_spans(Effect((paused(),))) as effect:
        assert traceparent(get_current_span()) == PARENT  # for the lines of the log
    assert effect.events[0].traceparent == PARENT


def test_without_the_sdk_and_a_parent_an_event_gets_no_context_of_its_own():
    with append_spans(Effect((paused(),))) as effect:
        pass
    assert effect.events[0].traceparent is None


def test_a_parent_that_is_no_context_is_ignored(spans):
    with span("work", parent="nonsense"):
        pass
    (only,) = spans()
    assert only.parent is None


def test_a_new_round_forgets_the_contexts_of_the_last():
    traces = CampaignTraces()
    for type_, subject, context_ in (
        ("ScoresReported", "c/old", OTHER),
        ("PolicyUpdated", "c", PARENT),
        ("RecipeProposed", "c/r1s0", OTHER),
        ("CheckpointTrained", "c/r1s0", PARENT),
        ("CampaignPaused", "c/x", None),
    ):
        traces.add(cast(Envelope, SimpleNamespace(type=type_, subject=subject, traceparent=context_)))
    assert traces.round_opened == PARENT
    assert traces.contexts == (PARENT,)


@pytest.mark.parametrize(
    ("variables", "exporter"),
    [
        ({}, "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, "none"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(variables, exporter):
    assert exporter_name(variables) == exporter


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_is_not_there_is_refused_by_its_variable(variables):
    with pytest.raises(BadVariable, match=list(variables)[-1]):
        exporter_name(variables)


def test_without_the_library_nothing_is_traced_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with export_spans("trainer", "w"), span("work") as silent:
        assert not silent.is_recording()
    assert "aevolve[telemetry]" in caplog.text
