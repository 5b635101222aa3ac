"""The web page: what a person sees of the log, and the few things that a person may say to it."""
