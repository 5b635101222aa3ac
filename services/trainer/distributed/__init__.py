"""One training job on several processes or hosts: launch, process group, sharding, sharded checkpoints."""
