"""The answer is cut out of a completion as the option says, and a repeated prompt is none."""

import pytest

from tests.unit.scored_texts import score


@pytest.mark.parametrize(
    ("option", "completion", "right"),
    [
        ("auto", "#### 3 then #### 4", 1),
        ("auto", r"\boxed{3} and #### 4", 1),
        ("auto", "#### Step 1\n1\n#### Result\nThe answer is 4.", 1),
        ("auto", "The answer is 4. I hope this answer is helpful.", 1),
        ("auto", r"\boxed{} The final answer is: 4", 1),
        ("auto", r"4 \boxed{5", 0),
        ("whole", " 4 \n", 1),
        ("whole", "it is 4", 0),
        ("last_line", "5\n4\n\n", 1),
        ("last_line", "4\n5", 0),
        ("hash", "#### 4", 1),
        ("hash", "4", 0),
        ("boxed", r"\boxed{5} \boxed{\text{4}} 6", 1),
        ("auto", r"\boxed{5} \boxed{4} \boxed{ } 6", 1),
        ("boxed", r"\boxed {4", 1),
        ("boxed", "4", 0),
        ("tag:answer", "<answer>5</answer><answer> 4 </answer> 6", 1),
        ("tag:answer", "<answer>4", 1),
        ("tag:answer", "4", 0),
        (r"regex:=>\s*(\w+)", "=> 3 => 4 units", 1),
        (r"regex:\d$", "3 4", 1),
        (r"regex:\d$", "3 4 x", 0),
    ],
)
def test_the_answer_is_extracted_as_the_option_says(option, completion, right):
    assert score("numeric", completion, "4", answer=option) == right


@pytest.mark.parametrize("scorer", ["exact", "numeric", "choice", "contains", "boxed"])
def test_a_repeated_prompt_is_no_answer(scorer):
    prompt = "Which is right: B or 4? Choose: B"
    reference = {"exact": prompt, "choice": "B", "contains": "Choose", "numeric": "4", "boxed": "4"}[scorer]
    for completion in (prompt, f"{prompt}{prompt}", f" {prompt}\n", prompt[: len(prompt) * 3 // 4]):
        assert score(scorer, completion, reference, prompt) == 0


def test_an_answer_that_resembles_the_prompt_counts():
    assert score("exact", "Paris", "Paris", "Paris or Rome: which is in France?") == 1
    assert score("numeric", "42", "42", "4") == 1
    assert score("numeric", "4 42 4", "42", "4") == 1
    assert score("numeric", "2+2=4", "4", "2+2=") == 1
    assert score("exact", "What is 2+2?\n4", "4", "What is 2+2?") == 1
    assert score("choice", "A", "A", "A or B?") == 1
    for scorer in ("exact", "boxed", "contains"):
        assert score(scorer, "so \\boxed{sort b a c}", "sort b a c", "sort b a") == 1
        assert score(scorer, "\\boxed{3125}", "3125", "12") == 1
    assert score("exact", "\\fbox{\\text{x} sort b a}", "\\text{x} sort b a", "sort b a") == 1
