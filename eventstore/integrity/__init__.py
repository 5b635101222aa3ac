"""Proof that the log is as it was written: the hash chain, signed heads, and checked import."""
