"""PostgreSQL and a Kafka broker from wheels, for one machine where neither is installed."""
