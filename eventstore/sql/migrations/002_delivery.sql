-- Who has seen what: handled events, contiguous checkpoints, and how far each broker has been told.

-- The foreign key makes forging by Kafka impossible: what is not in the log cannot be handled.
CREATE TABLE inbox (
    consumer   text,
    event      uuid CONSTRAINT inbox_event REFERENCES events (id),
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event)
);

-- Every event of the consumer's types at or before the position has been handled.
CREATE TABLE checkpoints (
    consumer text PRIMARY KEY,
    position bigint NOT NULL
);

-- An embedded broker that restarts is a new one with empty topics, hence one cursor per incarnation.
CREATE TABLE relay_cursors (
    incarnation text PRIMARY KEY,
    position    bigint NOT NULL
);
