"""The event store beside its peers, on one PostgreSQL, in one run; `docs/benchmarks.md` says how to read it."""
