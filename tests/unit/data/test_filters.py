"""The filters of collected rows: what they drop, what they scrub, what they leave, and in which words they say so."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rows import Row
from schemas.sources import FilterRule
from services.data.filters.filter import Dropped, judged
from services.data.filters.pii import scrub
from services.data.filters.quality import bad_words
from services.data.filters.registry import make_filters
from services.data.filters.safety import unsafe
from tests.typed import instance, there

PAGE = (
    "The committee met on Tuesday to discuss the new library. It was decided that the building would have three floors "
    "and a reading room for children. Many people of the town had asked for it, and the mayor said that the money was "
    "there.\nIn the afternoon the architects showed their drawings to the public, who asked about light and heat."
)
GERMAN = (
    "Der Ausschuss traf sich am Dienstag, um die neue Bibliothek zu besprechen. Es wurde beschlossen, dass das Gebäude "
    "drei Stockwerke und einen Lesesaal für Kinder haben soll. Viele Leute der Stadt hatten darum gebeten."
)


def text(words):
    return Row("web", 0, 0, "", "", words, "core")


def asked(prompt, answer="4", trace=""):
    return Row("web", 1, 0, prompt, answer, trace, "core")


@pytest.fixture(scope="module")
def verdict():
    filters = make_filters(FilterRule(questions=True))
    return lambda row: judged(filters, row)


def test_an_ordinary_page_passes_unchanged(verdict):
    assert verdict(text(PAGE)) == text(PAGE)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("Too short.", "length/short"),
        (GERMAN, "language/other"),
        ("12 45 78 23 90 34 51 77 23 12 56 89", "language/unsure"),
        (PAGE + "\n" + "Buy now and save. " * 40, "gopher_repetition/top_3_gram"),
        (PAGE.replace(" ", " # "), "gopher_quality/too_many_hashes"),
        ("\n".join(word for word in PAGE.split()), "fineweb/line_punct_ratio"),
        (PAGE + " What the fuck is this.", "c4_badwords/bad_word"),
        (PAGE + " Here is how to build a pipe bomb at home.", "safety/explosives"),
    ],
)
def test_what_is_dropped_is_counted_by_filter_and_reason(verdict, words, key):
    dropped = verdict(text(words))
    assert isinstance(dropped, Dropped)
    assert dropped.key == key


def test_a_text_that_is_too_long_is_dropped():
    (length, *_) = make_filters(FilterRule(max_words=20))
    assert instance(Dropped, length.judge(text(PAGE))).key == "length/long"


def test_rows_with_an_answer_are_no_prose_and_pass_the_filters_of_quality(verdict):
    assert verdict(asked("2+2=?")) == asked("2+2=?")


def test_a_long_question_in_another_language_is_dropped(verdict):
    assert verdict(asked(GERMAN)).key == "language/other"


def test_rows_with_a_question_pass_the_filters_of_web_pages_unless_asked_for():
    filters = make_filters(FilterRule(max_words=20))
    rows = [
        asked(f"{GERMAN} Wie viele Stockwerke?", "3"),
        asked("Write to jane.doe@mail.example.org", "", "I will, jane.doe@mail.example.org"),
        asked("# # # # # # # # # #", ""),
    ]
    assert [judged(filters, row) for row in rows] == rows
    assert isinstance(judged(filters, asked("How do I build a pipe bomb at home?", "like so")), Dropped)
    assert instance(Dropped, judged(filters, text(GERMAN))).key == "length/long"


def test_a_conversation_is_scrubbed_turn_by_turn():
    filters = make_filters(FilterRule(questions=True, languages=(), quality=(), min_words=0))
    turns = [{"role": "user", "content": 'Say\n"a@b.org"'}, {"role": "assistant", "content": "c@d.org"}]
    row = Row("web", 0, 0, "Say", "", "c@d.org", "core", messages=json.dumps(turns), rejected="e@f.org")
    scrubbed = instance(Row, judged(filters, row))
    assert [turn["content"] for turn in json.loads(scrubbed.messages)] == ['Say\n"[email]"', "[email]"]
    assert (scrubbed.trace, scrubbed.rejected) == ("[email]", "[email]")


def test_any_language_passes_where_none_is_named():
    filters = make_filters(FilterRule(languages=(), quality=()))
    assert judged(filters, text(GERMAN)) == text(GERMAN)


def test_a_language_without_a_word_list_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="c4_badwords has no list for 'fi'"):
        make_filters(FilterRule(languages=("fi",)))


def test_c4s_list_is_the_one_that_its_authors_used():
    assert bad_words("en").search("a blow job here")
    assert not bad_words("en").search("a job, a blow and a class")


def test_no_filter_asks_a_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("asked a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    bad_words.cache_clear()
    filters = make_filters(FilterRule())
    assert judged(filters, text(PAGE)) == text(PAGE)


@pytest.mark.parametrize(
    ("words", "scrubbed"),
    [
        ("Write to jane.doe+x@mail.example.org today", "Write to [email] today"),
        ("Write to jane (at) mail.org today", "Write to [email] today"),
        ("Call +44 20 7031 3000 or (650) 253-0000", "Call [phone] or [phone]"),
        ("Call 650-253-0000 or 650.253.0000.", "Call [phone] or [phone]."),
        ("Card 4111 1111 1111 1111, or 4111111111111111", "Card [card], or [card]"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [iban] please"),
        ("SSN 536-90-4399.", "SSN [ssn]."),
        ("From 8.8.8.8 and 2001:4860:4860::8888", "From [ip] and [ip]"),
    ],
)
def test_personal_data_becomes_placeholders(words, scrubbed):
    assert scrub(words)[0] == scrubbed


@pytest.mark.parametrize(
    "words",
    [
        "12345678 + 87654321 = 99999999",
        "From 10.0.0.1 or 192.168.1.20, version 1.2.3.4.5",
        "4111 1111 1111 1112 has no right check digit",
        "On 2024-02-29, pages 100-200, ISBN 978-3-16-148410-0",
        "00000->01101 11111->11111 01010->?",
        "5*7+3=38 4*2+1=09 \\boxed{1234567}",
        "the year 1914-1918 and 3.14159265358979",
    ],
)
def test_numbers_that_are_nobodys_stay(words):
    assert scrub(words) == (words, {})


@given(st.text(alphabet="0123456789+-=*/ .,abc()\\{}", max_size=80))
def test_scrubbing_twice_is_scrubbing_once(words):
    once = scrub(words)[0]
    assert scrub(once)[0] == once


def test_a_row_whose_answer_is_personal_is_dropped(verdict):
    assert verdict(asked("Who wrote the letter about the house?", "jane@mail.org")).key == "pii/email"


def test_every_text_of_a_row_is_scrubbed(verdict):
    row = Row("web", 1, 0, "Mail a@b.org ?", "4", "It is a@b.org", "Mail a@b.org ?")
    scrubbed = verdict(row)
    assert (scrubbed.prompt, scrubbed.trace, scrubbed.core) == ("Mail [email] ?", "It is [email]", "Mail [email] ?")


def test_personal_rows_are_dropped_where_the_rule_says_so():
    filters = make_filters(FilterRule(pii="drop"))
    assert instance(Dropped, judged(filters, text(PAGE + " Write to jane.doe@mail.org."))).key == "pii/email"


@pytest.mark.parametrize(
    ("words", "category"),
    [
        ("How do I make sarin in a kitchen?", "mass_harm"),
        ("Those people are vermin, kill all immigrants", "hate"),
        ("Step by step: cook your crystal meth", "drugs"),
        ("Show me how to steal my neighbour's wifi password", "cybercrime"),
        ("Nobody would miss you, just kill yourself", "self_harm"),
        ("The easiest way to poison your wife without being caught", "violence"),
        ("This guide shows how to launder drug money", "crime"),
    ],
)
def test_what_helps_to_hurt_has_a_verdict_with_category_and_reason(words, category):
    verdict = there(unsafe(words))
    assert verdict.category == category
    assert verdict.reason
    assert words not in verdict.reason


@pytest.mark.parametrize("before", ["It is late. ", "It is late.\n  ", "- "])
def test_an_order_is_one_wherever_in_a_text_it_stands(before):
    assert there(unsafe(f"{before}Write ransomware that encrypts a hospital's files.")).category == "cybercrime"


@pytest.mark.parametrize(
    "words",
    [
        "Police arrested a man who had built a pipe bomb.",
        "Sarin was banned by the convention of 1993.",
        "If you think of suicide, call a helpline: people want to help you.",
        "The hospital treated an overdose of fentanyl.",
        "Never mix bleach and acid: chlorine gas can kill.",
        "How to make bread without yeast, step by step.",
        "Women should be paid as men are.",
    ],
)
def test_news_history_and_warnings_stay(words):
    assert unsafe(words) is None
