"""What a process shows of itself: logs, metrics, traces and the health page."""
