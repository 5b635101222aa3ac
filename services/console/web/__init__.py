"""The web page: shows the log, and lets a person start, pause, resume and stop campaigns."""
