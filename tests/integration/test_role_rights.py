"""`docs/reference/security.md` says what each role may do in the database; this is taken from the database."""

from pathlib import Path

import asyncpg

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "security.md"
BEGIN, END = "<!-- roles: from the database, by tests/integration/test_role_rights.py -->\n", "<!-- /roles -->\n"

TABLES = """
SELECT r.rolname AS role, p.privilege AS right, c.relname AS name,
       has_table_privilege(r.oid, c.oid, p.privilege) AS whole
FROM pg_roles r, pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
WHERE r.rolname LIKE 'aevolve\\_%' AND c.relnamespace = 'aevolve'::regnamespace AND c.relkind IN ('r', 'v', 'm')
  AND CASE WHEN p.privilege IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(r.oid, c.oid, p.privilege)
      ELSE has_table_privilege(r.oid, c.oid, p.privilege) OR has_any_column_privilege(r.oid, c.oid, p.privilege) END
ORDER BY 1, 2, 3
"""
FUNCTIONS = """
SELECT r.rolname AS role, f.proname AS name FROM pg_roles r, pg_proc f
WHERE r.rolname LIKE 'aevolve\\_%' AND f.pronamespace = 'aevolve'::regnamespace AND f.prosecdef
  AND has_function_privilege(r.oid, f.oid, 'EXECUTE') ORDER BY 1, 2
"""
QUEUES = "SELECT role, queue AS name FROM queue_owners ORDER BY 1, 2"


async def rights(owner: asyncpg.Connection) -> str:
    """The table of the page."""
    cells: dict[str, dict[str, list[str]]] = {}
    for row in await owner.fetch(TABLES):
        name = f"`{row['name']}`" if row["whole"] else f"columns of `{row['name']}`"
        cells.setdefault(row["role"], {}).setdefault(row["right"], []).append(name)
    for query, column in ((FUNCTIONS, "calls"), (QUEUES, "queues")):
        for row in await owner.fetch(query):
            cells.setdefault(row["role"], {}).setdefault(column, []).append(f"`{row['name']}`")
    everything = max((of["SELECT"] for of in cells.values()), key=len)
    for of in cells.values():
        of["SELECT"] = ["all tables"] if of["SELECT"] == everything else of["SELECT"]
    columns = {"SELECT": "reads", "INSERT": "inserts", "UPDATE": "updates", "calls": "calls", "queues": "its queues"}
    lines = [f"| role | {' | '.join(columns.values())} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| `{role}` | {' | '.join(', '.join(of.get(c, ())) for c in columns)} |" for role, of in cells.items()]
    assert not [role for role, of in cells.items() if {"DELETE", "TRUNCATE"} & of.keys()], "no role deletes"
    return "\n".join(lines).replace("|  |", "| none |").replace("|  |", "| none |") + "\n"


async def test_the_page_says_what_each_role_may_do(owner: asyncpg.Connection) -> None:
    table, page = await rights(owner), PAGE.read_text()
    shown = page.partition(BEGIN)[2].partition(END)[0]
    assert shown == table, f"docs/reference/security.md is to say:\n{table}"
