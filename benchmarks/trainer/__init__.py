"""The trainer beside its peers, on one model and the same batches, in one run.

Figures: `docs/reference/benchmarks/trainer.md`.
"""
