"""Collected rows: harvest of all sources, deduplication, checks, mixing and the data card."""
