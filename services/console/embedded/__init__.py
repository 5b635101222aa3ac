"""The whole system on one machine: supervised processes, the run folder, and the demo."""
