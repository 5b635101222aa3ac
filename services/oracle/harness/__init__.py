"""Everything of ours that lm-eval runs: the task, its prompt and its scoring. Its source is hashed into every stamp."""
