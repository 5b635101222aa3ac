"""Evaluation Oracle: scores with receipts, the external budget, the drift test."""
