"""The data pipeline's stages beside datatrove and datasketch: how fast, how much memory, and what is caught."""
