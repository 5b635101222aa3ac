"""The trainer beside its peers, on one model and the same batches, in one run; see `docs/benchmarks-trainer.md`."""
