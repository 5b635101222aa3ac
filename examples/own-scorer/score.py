"""Scorers of this example. Each takes lists and returns a score in [0, 1] for each completion, or None.

The arguments are TRL's for a reward function: `prompts`, `completions`, and every column of the rows by its name.
"""

import re


def answer_is_right(prompts, completions, answer, **columns):
    """1 where the last number of the completion is the answer, 0.5 where it is off by one."""
    scores = []
    for completion, right in zip(completions, answer, strict=True):
        numbers = re.findall(r"-?\d+", completion)
        distance = abs(int(numbers[-1]) - int(right)) if numbers else 2
        scores.append({0: 1.0, 1: 0.5}.get(distance, 0.0))
    return scores


def shows_steps(prompts, completions, **columns):
    """1 where the completion has a line with an equation before the answer."""
    return [float(bool(re.search(r"\d+ [-+*/] \d+ = \d+", completion))) for completion in completions]
