"""Filters of collected rows: length, language, quality, safety, personal data."""
