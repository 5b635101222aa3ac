"""Policy: closes rounds, chooses submissions, revises the search."""
