"""The demo campaign with the real tiny model, by the shipped policy, by its baselines and as a null twin."""
