"""Long jobs: leased from a work queue and run in subprocesses."""
