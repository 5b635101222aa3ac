"""The peers: how others search, at the budget of this project's own policy."""
