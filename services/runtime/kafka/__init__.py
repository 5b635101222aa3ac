"""Kafka: the broker client of every service, its security, and readers that leave offsets alone."""
