"""What a collected row must pass to be kept: language, quality, personal data, safety."""
