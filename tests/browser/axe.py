"""The rules of axe-core, as the package `axe-playwright-python` brings it."""

from __future__ import annotations

from importlib.resources import files

from playwright.async_api import Page

SCRIPT = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page) -> list[str]:
    """What the rules say against a page as it looks now: rule, place and remedy."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(SCRIPT)
    found = await page.evaluate("rules => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })", RULES)
    return [
        f"{rule['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
