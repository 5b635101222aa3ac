"""What the log says, as Prometheus metrics: read in one place, shown by one process (`aevolve exporter`)."""
