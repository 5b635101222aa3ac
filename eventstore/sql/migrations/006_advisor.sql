-- The recipes service asks a campaign's advisor, which is long work like any other.

GRANT INSERT, UPDATE ON work, progress TO aevolve_recipes;
