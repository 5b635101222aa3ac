-- The console no longer starts campaigns by its own timer (docs/guides/schedules.md). Its grants go with the table.
-- After a deploy: the console of the version before still reads this table.

DROP TABLE schedules;
