-- An event fits into one Kafka message (1 MiB with its headers), is a JSON object, and has short names: an event that
-- cannot be published would hold up all later ones, and one that no reader can parse stays in the log for ever. Checked
-- for new events alone: what the log holds cannot be changed.

ALTER TABLE events
    ADD CONSTRAINT events_size CHECK (octet_length(data::text) <= 900000) NOT VALID,
    ADD CONSTRAINT events_object CHECK (json_typeof(data) = 'object') NOT VALID,
    ADD CONSTRAINT events_names CHECK (char_length(campaign) <= 200 AND char_length(stream) <= 500) NOT VALID,
    ADD CONSTRAINT events_version CHECK (version BETWEEN 1 AND 1000) NOT VALID;
