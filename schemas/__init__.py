"""The contracts: what the services say to each other. No I/O; importing it loads pydantic alone."""
