"""The commands: options and body of each in one file, one file per group; heavy imports inside the functions.

`aevolve --help` imports every module here, so none of them imports more than typer at the top.
"""
