"""Decisions and drift verdicts in plain words with their numbers."""
