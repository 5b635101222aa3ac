"""Six families of reasoning puzzles with exact solvers, worked traces and leak-proof splits. Pure."""
