"""Prometheus metrics that every service shows on `/metrics`, named by Prometheus's conventions."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
"""One registry per process."""

HANDLED = Counter("aevolve_events_handled", "Events handled, by type.", ["service", "type"], registry=REGISTRY)
HANDLING_SECONDS = Histogram(
    "aevolve_handling_seconds", "Time from an event's turn to its committed effect.", ["service"], registry=REGISTRY
)
LOG_POSITION = Gauge(
    "aevolve_checkpoint_position", "Log position up to which everything is handled.", ["service"], registry=REGISTRY
)
DEAD_LETTERS = Counter("aevolve_dead_letters", "Messages that could not be handled.", ["service"], registry=REGISTRY)
JOBS = Counter("aevolve_jobs", "Tries of jobs that ended, by outcome.", ["queue", "outcome"], registry=REGISTRY)
JOB_SECONDS = Counter("aevolve_job_seconds", "Wall time spent in jobs.", ["queue"], registry=REGISTRY)
RUNNING = Gauge("aevolve_jobs_running", "Jobs running in this process.", ["queue"], registry=REGISTRY)
