"""The tiny base model of the demo: its tokenizer, its pre-training and its cache key."""
