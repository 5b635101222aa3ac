"""Console: what a person touches."""
