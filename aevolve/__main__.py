"""`python -m aevolve`, the same as `aevolve`."""

from aevolve.cli import main

main()
