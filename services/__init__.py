"""The services. One never imports another; they meet in `schemas` and in the log."""
