"""Detectors of drift, side by side on the same recorded campaigns."""
