"""Measurements of time, which no test asserts: what is fast here, beside a peer that was measured in the same run."""
