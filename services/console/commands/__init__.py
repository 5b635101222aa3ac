"""The commands of `aevolve`, one file per group: options and body."""
