r"""Scorers: how well a completion answers a prompt, given the reference answer of the item.

A scorer is a plain function on lists, as a reward function of TRL is: `scorer(prompts, completions, *, answer,
**columns)` returns one score in [0, 1] per completion, or None where it does not apply, such as for an empty reference.
A scorer accepts any text, in bounded time: patterns of a user and math-verify run in a child process with a limit of
processor time. `tasks.scoring` names the scorers and combines them.
"""
