"""What a person sees of a campaign on a terminal, and how far its parts have come."""
