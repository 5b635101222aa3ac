"""The web page beside what it cannot be faster than: its own queries, and a log that nobody looks at."""
