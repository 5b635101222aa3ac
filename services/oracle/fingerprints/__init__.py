"""Publishes fingerprints of the sealed sets, so that the data service can remove matching rows."""
