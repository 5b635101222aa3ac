"""The search policy and the drift test beside their peers, on simulated campaigns whose truth is known."""
