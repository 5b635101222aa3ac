"""Prometheus metrics of the log, exported by one process (`aevolve exporter`)."""
