"""Texts for tests of scorers, and the score of one completion."""

from hypothesis import strategies as st

from tasks.scoring import SCORERS

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PIECES = st.lists(
    st.sampled_from(
        [*"\\{}$()[]*^_/.,-%\n \t\x00", "\\boxed{", "\\frac", "####", "answer is", "1", "23", "e3", "A", "B", "\u2212"]
    ),
    max_size=30,
).map("".join)
"""Text made of the signs and words that scorers look for."""


def score(scorer, completion, reference, prompt="", *, columns=None, **options):
    row = {name: [value] for name, value in (columns or {}).items()}
    (value,) = SCORERS.get(scorer)(**options)([prompt], [completion], answer=[reference], **row)
    return value
