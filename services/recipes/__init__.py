"""Recipe Optimizer: a round's candidates from the policy's learned distributions."""
