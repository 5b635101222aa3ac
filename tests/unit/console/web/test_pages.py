"""Pages: those of other packages are added by an entry point, and the glossary explains the terms."""

import importlib
import re
import sys
from html import unescape
from pathlib import Path

import pytest

from services.console.glossary import markdown, terms
from services.console.web.pages import GROUP, PAGES
from services.runtime.user_error import UserError
from tests.unit.recorded_log import browser, recorded

ROOT = Path(__file__).parents[4]
MODULE = """
from services.console.web.context import site
from services.console.web.pages import Page

async def show(request):
    return {"count": len(await site(request).store.campaigns())}

PAGE = Page("/weather", "Weather <&>", show, "weather.html", 15)
TAKEN = Page("/campaigns", "Campaigns", show, "weather.html", 15)
"""
TEMPLATE = '{% extends "layout.html" %}{% block content %}<p id="rain">{{ count }} campaigns</p>{% endblock %}'


@pytest.fixture(scope="module")
def store():
    return recorded(ROOT / "tests" / "recorded" / "demo.jsonl")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with one module, its template, and an entry point for the page."""

    def make(value):
        (tmp_path / "foreign_page.py").write_text(MODULE)
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates" / "weather.html").write_text(TEMPLATE)
        about = tmp_path / "foreign-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{GROUP}]\nweather = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, "foreign_page", raising=False)

    return make


def navigation(page):
    listed = page.partition('<nav aria-label="Pages">')[2].partition("</nav>")[0]
    return [(address, unescape(name)) for address, name in re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)<', listed)]


def test_a_page_of_another_package_is_shown_and_in_the_navigation(store, install):
    before = navigation(browser(store).get("/campaigns").text)
    install("foreign_page:PAGE")
    visitor = browser(store)
    page = visitor.get("/weather").text
    assert '<p id="rain">1 campaigns</p>' in page
    assert "<h1>Weather &lt;&amp;&gt;</h1>" in page
    after = navigation(page)
    assert after[:2] == [before[0], ("/weather", "Weather <&>")]
    assert [entry for entry in after if entry in before] == before


@pytest.mark.parametrize(("value", "problem"), [("foreign_page:show", "is not a"), ("foreign_page:TAKEN", "is taken")])
def test_an_entry_point_that_is_no_page_of_its_own_is_refused_by_name(store, install, value, problem):
    install(value)
    with pytest.raises(UserError, match=f"weather = {value}.*{problem}"):
        browser(store)


def test_the_navigation_is_ordered_by_position(store):
    placed = sorted((page.position, page.path) for page in PAGES if page.position is not None)
    assert [address for address, _ in navigation(browser(store).get("/glossary").text)] == [path for _, path in placed]


def test_every_page_links_the_glossary_and_it_explains_the_terms(store):
    visitor = browser(store)
    assert '<footer><a href="/glossary">' in visitor.get("/campaigns").text
    page = unescape(visitor.get("/glossary").text)
    assert len(terms()) >= 30
    for term, meaning in terms().items():
        assert f">{term}</dt><dd>{meaning}</dd>" in page


def test_the_glossary_of_the_docs_is_made_from_the_same_file():
    """Remedy: python -m services.console.glossary > docs/reference/glossary.md."""
    assert (ROOT / "docs" / "reference" / "glossary.md").read_text() == markdown()


def test_each_term_is_one_sentence():
    assert [term for term, meaning in terms().items() if not meaning.endswith(".") or ". " in meaning] == []
