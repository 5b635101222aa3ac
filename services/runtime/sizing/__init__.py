"""How large a training is and how long it takes, from shapes alone: arithmetic without torch."""
