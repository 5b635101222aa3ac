"""The drift test: whether dev has stopped tracking the target, where, how, and with what probability."""
