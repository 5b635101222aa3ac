"""What every service is built from: wiring of log, Kafka, workers and HTTP."""
