"""The log: append, read, relay to Kafka, inbox and work leases, on PostgreSQL."""
