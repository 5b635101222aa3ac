"""Files that jobs share: artifacts, their hashes, and model folders."""
