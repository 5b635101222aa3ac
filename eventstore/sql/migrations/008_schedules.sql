-- Campaigns that are to be started: once, as soon as somebody gets to it, or again and again by a cron line.

CREATE TABLE schedules (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL,         -- the campaign's, from its file
    file          text NOT NULL,         -- the campaign file as it was given
    cron          text,                  -- null: once
    asked_by      text NOT NULL,
    asked_at      timestamptz NOT NULL DEFAULT now(),
    warm_from     text,                  -- the campaign whose learned distributions the next start begins with
    next_at       timestamptz,           -- null: not again
    claimed_until timestamptz,           -- a console is at it; after this time another may
    starting      text,                  -- id of the campaign being started, fixed before the start: so none comes twice
    last          text,                  -- the campaign that was started last
    told          text                   -- what the last start has to say, such as why it failed
);

GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO aevolve_console;
