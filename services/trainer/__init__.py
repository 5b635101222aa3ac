"""Trainer: one leased job at a time, from recipe to adapter."""
