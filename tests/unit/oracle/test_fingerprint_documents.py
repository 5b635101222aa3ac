"""The documents of a campaign's task lists are fingerprinted as question and right answer, whatever form a task has."""

from schemas.tasks import TaskList
from services.oracle.fingerprints.documents import documents
from tests.unit.task_files import CHOICE, WRITTEN, write_task


def test_a_document_is_its_question_with_the_right_answer(tmp_path):
    for name, config in (("chosen", CHOICE), ("written", WRITTEN)):
        write_task(tmp_path, name, config)
    tasks = [{"task": "chosen", "metric": "acc"}, {"task": "written", "metric": "exact_match"}]
    listed = TaskList.model_validate({"tasks": tasks, "include": str(tmp_path)})
    chosen, written = documents(listed, run_code=False)
    assert chosen == ["1 + 1 = 2", "1 + 3 = 4", "2 + 1 = 3", "2 + 3 = 5"]
    assert written == [f"{a} + {b} = 7" for a in (1, 2) for b in (1, 3)]


def test_a_limited_list_gives_its_first_documents_alone(tmp_path):
    write_task(tmp_path, "chosen", CHOICE)
    listed = TaskList.model_validate(
        {"tasks": [{"task": "chosen", "metric": "acc"}], "include": str(tmp_path), "limit": 2}
    )
    assert list(documents(listed, run_code=False)) == [["1 + 1 = 2", "1 + 3 = 4"]]
    after = listed.model_copy(update={"first": 1})
    assert list(documents(after, run_code=False)) == [["1 + 3 = 4", "2 + 1 = 3"]]


def test_a_document_of_any_answer_is_its_words(tmp_path):
    row = {"question": "1 + 1 =", "choices": ["2", "7"], "right": [0, 1], "answer": None}
    write_task(tmp_path, "several", CHOICE, [row], doc_to_choice="choices", doc_to_target="right")
    write_task(tmp_path, "none", WRITTEN, [row], doc_to_target="answer")
    ends = {"question": 1, "choices": ["You say 1 +", "You say 2 +"], "answer": "2 is 4", "right": 0}
    columns = {"doc_to_text": "question", "doc_to_choice": "choices", "doc_to_target": "answer"}
    write_task(tmp_path, "ends", CHOICE, [ends], **columns)
    tasks = [
        {"task": "several", "metric": "acc"},
        {"task": "none", "metric": "exact_match"},
        {"task": "ends", "metric": "acc"},
    ]
    listed = TaskList.model_validate({"tasks": tasks, "include": str(tmp_path)})
    assert list(documents(listed, run_code=False)) == [["1 + 1 = 2 7"], ["1 + 1 = "], ["You say 2 + 2 is 4"]]
