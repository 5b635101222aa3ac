"""The event store beside its peers, on one PostgreSQL, in one run (`docs/reference/benchmarks/store.md`)."""
