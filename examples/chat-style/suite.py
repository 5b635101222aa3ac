"""A suite in Python: requests that should be answered in few words, and a score for how few.

`rows(split, seed, n)` returns dictionaries, the same for the same arguments; `score` follows TRL's reward functions.
"""

from random import Random

TOPICS = ("rain", "bread", "trains", "stars", "music", "rivers", "clocks", "glass", "bees", "maps", "snow", "tea")
VERBS = ("Describe", "Explain", "Tell me about", "What is", "Say something about")
PLACES = ("in a village", "at sea", "in winter", "for a child", "in a city", "at night", "in a museum", "on a farm")
MOST_WORDS = 12


def rows(split, seed, n):
    """Up to `n` requests; each split has topics of its own, so none is asked twice."""
    rng = Random(f"{split}/{seed}")
    splits = ("train", "dev", "confirm", "target", "final")
    asked = [
        f"{verb} {topic} {place}."
        for verb in VERBS
        for topic in TOPICS
        for place in PLACES
        if (TOPICS.index(topic) + PLACES.index(place)) % len(splits) == splits.index(split)
    ]
    rng.shuffle(asked)
    return [{"prompt": prompt} for prompt in asked[:n]]


def score(prompts, completions, **columns):
    """1 for an answer of at most twelve words that ends in a full stop; less for each word more."""
    scores = []
    for completion in completions:
        words = len(completion.split())
        short = max(0.0, 1.0 - max(0, words - MOST_WORDS) / MOST_WORDS)
        scores.append(short * (1.0 if completion.strip().endswith(".") else 0.5) if words else 0.0)
    return scores
