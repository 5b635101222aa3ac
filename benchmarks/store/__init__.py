"""The event store beside its peers, on one PostgreSQL, in one run; `docs/benchmarks-store.md` says how to read it."""
