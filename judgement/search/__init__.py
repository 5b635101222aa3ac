"""The search: which recipes a round tries, which candidates the target is asked about, which recipe is promoted."""
