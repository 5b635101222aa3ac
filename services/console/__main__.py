"""`python -m services.console`, the same as `aevolve`."""

from services.console.cli import main

main()
