"""Records of a user: every form is recognised, values are taken over exactly, and what is no row has a reason."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import canonical_json
from schemas.suites import ColumnNames
from tasks.formats import (
    Fields,
    FormatUnknown,
    Unreadable,
    conversation,
    core_of,
    detect,
    domain_name,
    plain,
    read,
    text_of,
)
from tasks.records import parse_json

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def found(*columns: str, **named) -> dict[str, str]:
    return detect(columns, ColumnNames(**named)).named


def fields(record, **named) -> Fields:
    return read(record, detect(list(record), ColumnNames(**named)))


def attempt(function, *arguments):
    """The function's value, or the reason for which it refuses."""
    try:
        return function(*arguments), None
    except Unreadable as error:
        return None, error.reason


def refused(record, **named) -> str:
    with pytest.raises(Unreadable) as caught:
        fields(record, **named)
    return caught.value.reason


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (("question", "answer"), {"prompt": "question", "answer": "answer"}),
        (("problem", "solution", "level"), {"prompt": "problem", "answer": "solution"}),
        (("question", "choices", "answerKey", "id"), {"prompt": "question", "answer": "answerKey"}),
        (("prompt", "completion"), {"prompt": "prompt", "completion": "completion"}),
        (
            ("prompt", "completion", "answer"),
            {"prompt": "prompt", "completion": "completion", "answer": "answer"},
        ),
        (
            ("prompt", "rationale", "target", "domain"),
            {"prompt": "prompt", "answer": "target", "trace": "rationale", "domain": "domain"},
        ),
        (("instruction", "input", "output"), {"prompt": "instruction", "completion": "output"}),
        (("instruction", "response"), {"prompt": "instruction", "answer": "response"}),
        (("input", "output"), {"prompt": "input", "answer": "output"}),
        (("messages",), {"messages": "messages"}),
        (("messages", "answer", "domain"), {"messages": "messages", "answer": "answer", "domain": "domain"}),
        (("conversations", "id"), {"messages": "conversations"}),
        (("prompt", "chosen", "rejected"), {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}),
        (("chosen", "rejected", "messages"), {"chosen": "chosen", "rejected": "rejected"}),
    ],
)
def test_the_roles_of_columns_are_detected_by_their_names(columns, roles):
    assert found(*columns) == roles


def test_columns_that_are_named_win_and_the_others_are_still_detected():
    assert found("q", "answer", "question", prompt="q") == {"prompt": "q", "answer": "answer"}
    assert found("question", "x", "answer", answer="x") == {"prompt": "question", "answer": "x"}
    assert found("messages", "prompt", "answer", prompt="prompt")["prompt"] == "prompt"
    assert found("instruction", "output", "gold", answer="gold") == {"prompt": "instruction", "answer": "gold"}
    assert found("better", "rejected", "prompt", chosen="better") == {
        "prompt": "prompt",
        "chosen": "better",
        "rejected": "rejected",
    }


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        (("text", "answer"), {}, r"columns: no question among text, answer; name it"),
        ((), {}, "no question among none"),
        (("question",), {"answer": "gold"}, r"columns\.answer: there is no column 'gold', only question; name one"),
        (("prompt", "better"), {"chosen": "better"}, "a preference pair needs both answers"),
    ],
)
def test_columns_of_no_known_form_are_refused_with_their_names(columns, named, message):
    with pytest.raises(FormatUnknown, match=message):
        found(*columns, **named)


def test_a_question_with_its_answer_and_further_columns():
    record = {"question": "1+1?", "answer": 2, "level": "easy", "tags": ["a", "b"]}
    assert fields(record) == Fields("1+1?", "2", columns={"level": "easy", "tags": ["a", "b"]})


def test_a_completion_is_the_answer_where_no_column_holds_one():
    assert fields({"prompt": "p", "completion": " c "}) == Fields("p", "c", "", " c ")
    assert fields({"prompt": "p", "completion": "c", "answer": "a"}).answer == "a"


def test_alpaca_joins_instruction_and_input():
    record = {"instruction": "Add.", "input": "1 2", "output": "3"}
    assert fields(record) == Fields("Add.\n\n1 2", "3", "", "3")
    assert fields({**record, "input": ""}) == Fields("Add.", "3", "", "3", columns={"input": ""})


def test_sharegpt_and_other_names_of_roles_are_recognised():
    turns = [{"from": "Human", "value": "q"}, {"from": "gpt", "value": "a"}]
    expected = Fields("q", "a", "", "a", "", (USER, ASSISTANT))
    assert fields({"conversations": turns}) == expected
    assert fields({"messages": json.dumps([USER, ASSISTANT])}) == expected


def test_a_conversation_is_asked_up_to_the_assistants_last_turn():
    turns = [
        {"role": "system", "content": "s"},
        USER,
        ASSISTANT,
        {**USER, "content": "q2"},
        {**ASSISTANT, "content": "a2"},
    ]
    row = fields({"messages": turns, "answer": "two"})
    assert row.asked == tuple(turns[:4])
    assert (row.prompt, row.answer, row.completion) == ("s\nq\na\nq2", "two", "a2")


def test_a_conversation_that_opens_with_the_assistant_or_ends_with_a_question_is_asked_whole():
    greeting = [{**ASSISTANT, "content": "hello"}, USER]
    assert fields({"messages": greeting, "answer": "a"}).asked == tuple(greeting)
    assert fields({"messages": [USER], "answer": "a"}).asked == (USER,)


def test_a_prompt_may_itself_be_a_conversation():
    asked = [{"role": "system", "content": "s"}, USER]
    expected = Fields("s\nq", "a", "", "a", "", (*asked, ASSISTANT))
    assert fields({"prompt": asked, "completion": [ASSISTANT]}) == expected
    assert fields({"prompt": asked, "completion": "a"}) == expected
    assert fields({"prompt": asked, "answer": "7"}) == Fields("s\nq", "7", messages=tuple(asked), open=True)


def test_a_conversation_that_ends_with_its_question_is_asked_whole_if_the_answer_is_elsewhere():
    turns = [USER, ASSISTANT, {**USER, "content": "q2"}]
    assert fields({"prompt": turns, "answer": "7"}).asked == tuple(turns)
    assert fields({"messages": turns, "answer": "7"}).asked == tuple(turns)
    taught = fields({"messages": turns})
    assert (taught.asked, taught.completion) == ((USER,), "a")


def test_a_turn_may_be_a_list_of_texts():
    parts = {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "text", "text": "!"}]}
    assert fields({"messages": [parts, ASSISTANT]}).prompt == "q!"


def test_preference_pairs_as_texts_and_as_conversations():
    assert fields({"prompt": "q", "chosen": "a", "rejected": "b"}) == Fields("q", "a", "", "a", "b")
    worse = {**ASSISTANT, "content": "b"}
    expected = Fields("q", "a", "", "a", "b", (USER, ASSISTANT))
    assert fields({"chosen": [USER, ASSISTANT], "rejected": [USER, worse]}) == expected
    assert fields({"prompt": "q", "chosen": [USER, ASSISTANT], "rejected": [USER, worse]}) == expected
    assert fields({"prompt": [USER], "chosen": [ASSISTANT], "rejected": [worse]}) == expected
    assert fields({"prompt": "q", "chosen": [ASSISTANT], "rejected": [worse]}) == expected


def test_an_answer_is_cut_out_by_the_last_match_of_a_pattern():
    record = {"question": "q", "answer": "4+4=8\n#### 8\nno\n#### 1,208"}
    row = fields(record, answer_pattern=r"####\s*(\S+)")
    assert (row.answer, row.completion) == ("1,208", record["answer"])
    assert fields(record, answer_pattern=r"\d+$").answer == "208"
    assert fields({"prompt": "q", "completion": "it is #### 5"}, answer_pattern=r"#### (.*)").answer == "5"
    turns = [USER, {**ASSISTANT, "content": "so #### 6"}]
    assert fields({"messages": turns}, answer_pattern=r"#### (.*)").answer == "6"
    assert refused({"question": "q", "answer": "none"}, answer_pattern="#### (.*)") == "no_answer"
    assert refused({"question": "q", "answer": "ab"}, answer_pattern="a(x)?b") == "no_answer"


def test_the_end_of_a_long_text_is_searched_for_the_answer():
    assert fields({"question": "q", "answer": "x" * 200_000 + "#### 3"}, answer_pattern="#### (.*)").answer == "3"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "  ", "answer": "a"}, "no_prompt"),
        ({"question": None, "answer": "a"}, "no_prompt"),
        ({"question": {"text": "q"}, "answer": "a"}, "not_text"),
        ({"question": "q", "answer": ["a", "b"]}, "not_text"),
        ({"question": "q", "answer": b"a"}, "not_text"),
        ({"question": "\ud800", "answer": "a"}, "encoding"),
        ({"question": "q", "answer": "a", "more": {"\ud800": 1}}, "encoding"),
        ({"question": "q", "answer": "a", "domain": "数学"}, "no_domain"),
        ({"messages": "no json"}, "no_conversation"),
        ({"messages": "[" * 100_000}, "no_conversation"),
        ({"messages": []}, "no_conversation"),
        ({"messages": [{"role": "narrator", "content": "x"}, USER]}, "no_conversation"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "no_conversation"),
        ({"messages": ["q", "a"]}, "no_conversation"),
        ({"messages": [ASSISTANT]}, "no_prompt"),
        ({"messages": [{**USER, "content": " "}, ASSISTANT]}, "no_prompt"),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": [{"id": "1"}]}]}, "tool_calls"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "equal_pair"),
        ({"prompt": "q", "chosen": "a", "rejected": " "}, "no_pair"),
        ({"prompt": "q", "chosen": "a", "rejected": None}, "no_pair"),
        ({"prompt": None, "chosen": "a", "rejected": "b"}, "no_prompt"),
        ({"prompt": "q", "chosen": [USER, ASSISTANT], "rejected": [USER]}, "no_pair"),
        (
            {"chosen": [USER, ASSISTANT], "rejected": [{**USER, "content": "r"}, {**ASSISTANT, "content": "b"}]},
            "unlike_pair",
        ),
    ],
)
def test_a_record_that_is_no_row_has_a_reason(record, reason):
    assert refused(record) == reason


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        (" a ", " a "),
        (9007199254740993, "9007199254740993"),
        (True, "true"),
        (None, ""),
        (0.1, "0.1"),
        (float("nan"), ""),
        (2.0, "2.0"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), ""),
        (date(2024, 2, 29), "2024-02-29"),
        (time(1, 2, 3), "01:02:03"),
        (datetime(2024, 2, 29, 1, 2, tzinfo=UTC), "2024-02-29T01:02:00+00:00"),
    ],
)
def test_a_value_becomes_its_exact_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("spelling", ["0.10", "1E400", "-0.0", "1e-7", "3.141592653589793238", "12345678901234567890"])
def test_a_number_of_a_json_file_keeps_its_spelling(spelling):
    assert text_of(parse_json(spelling)) == spelling


def test_further_columns_are_json_values():
    value = {
        "n": parse_json("0.5"),
        "big": parse_json("1E400"),
        "day": date(2024, 1, 2),
        "nan": float("nan"),
        3: (1, None),
    }
    assert plain(value) == {"n": 0.5, "big": "1E400", "day": "2024-01-02", "nan": None, "3": [1, None]}
    canonical_json(plain(value))


def test_a_column_that_is_nested_too_deep_is_refused():
    value: list[object] = []
    for _ in range(900):
        value = [value]
    assert refused({"question": "q", "answer": "a", "tree": value}) == "too_deep"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Algebra", "algebra"),
        ("Number Theory", "number_theory"),
        ("GSM8K.v2-final", "gsm8k.v2-final"),
        ("Géométrie", "geometrie"),
        ("--x--", "x"),
        ("a" * 200, "a" * 100),
    ],
)
def test_a_domain_gets_a_name_that_is_safe_in_paths(text, name):
    assert domain_name(text) == name


@given(st.text())
def test_every_domain_name_is_a_name_or_refused(text):
    from pydantic import TypeAdapter

    from schemas.base import Name

    name, reason = attempt(domain_name, text)
    assert reason in (None, "no_domain")
    assert name is None or TypeAdapter(Name).validate_python(name) == name


def test_the_core_keeps_all_but_white_space_and_composition():
    assert core_of("a \n b") == core_of("a b")
    assert core_of("e\u0301") == core_of("é")
    assert len({core_of(text) for text in ("2³", "23", "A", "a", "5 Mm", "5 mm")}) == 6
    assert core_of("q", (USER,)) != core_of("q", (ASSISTANT,))


SCALARS = (
    st.text()
    | st.integers()
    | st.booleans()
    | st.none()
    | st.floats()
    | st.decimals(allow_nan=True)
    | st.dates()
    | st.datetimes()
    | st.times()
)
VALUES = st.recursive(SCALARS, lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts), max_leaves=8)


@given(st.text(), st.text(), VALUES)
def test_text_comes_out_as_it_went_in_or_is_refused_by_reason(prompt, answer, more):
    row, reason = attempt(fields, {"question": prompt, "answer": answer, "more": more})
    if row is None:
        assert (reason, prompt.strip()) == ("no_prompt", "")
    else:
        assert (row.prompt, row.answer) == (prompt, answer.strip())
        json.loads(canonical_json(dict(row.columns)))


@given(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()}))
)
def test_a_conversation_keeps_every_turn_or_is_refused_by_reason(turns):
    row, reason = attempt(fields, {"messages": turns})
    if row is None:
        assert reason in {"no_conversation", "no_prompt"}
    else:
        assert list(row.messages) == turns == list(conversation(turns))
        assert row.asked == tuple(turns[: len(row.asked)])
        assert any(turn["role"] == "user" for turn in row.asked)
        assert row.completion == (turns[len(row.asked)]["content"] if len(row.asked) < len(turns) else "")


@given(st.dictionaries(st.sampled_from(["prompt", "answer", "messages", "chosen", "rejected", "domain"]), VALUES))
def test_no_record_raises_anything_but_a_reason(record):
    with contextlib.suppress(FormatUnknown):
        attempt(fields, record)
