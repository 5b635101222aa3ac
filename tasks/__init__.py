"""What a model is asked and how its answers are judged: suites of items, scorers, splits. Imports no torch."""
