"""Pure judgement: a campaign's history, the decisions on it, the drift test, the search and their statistics."""
