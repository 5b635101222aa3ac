"""Who computes what a model answers: this process, or a server that keeps the base in memory."""
