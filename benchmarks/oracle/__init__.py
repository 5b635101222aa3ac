"""How fast the oracle measures a round's adapters on processors, beside lm-eval's own model and bare generation."""
