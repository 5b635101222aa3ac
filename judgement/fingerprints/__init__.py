"""Fingerprints of sealed items: hashes by which training data is recognised and removed without showing the items."""
