"""Data Generator: the round's training data as an immutable snapshot."""
