"""The verdict on a program is what its tests found, and nothing that the program says or does instead."""

import pytest

from services.oracle.sandbox.limits import Limits
from services.oracle.sandbox.run import run
from tests.forgeries import FORGERIES

GOOD = "def double(x):\n    return 2 * x\n"
DOUBLES = "assert double(2) == 4\nassert double('a') == 'aa'\n"


def judged(source, tests=DOUBLES, given=""):
    return run(source, tests, ["double"], given, Limits(seconds=20))


def benign():
    return judged(GOOD).passed


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_program_cannot_forge_its_verdict(forgery):
    assert not judged(FORGERIES[forgery]).passed
    assert benign()


def test_the_same_tests_find_a_wrong_program_and_pass_a_right_one():
    assert judged(GOOD).why == "passed"
    assert judged("def double(x): return x").why == "test failed"
    assert judged("def double(x): raise KeyError(x)").why == "test raised"
    assert judged("import nothing_of_the_kind").why == "program raised"


def test_tests_that_catch_everything_do_not_pass_a_program_that_has_gone():
    catching = "try:\n    double(2)\nexcept BaseException:\n    pass\n"
    assert judged("import os\ndef double(x): os._exit(0)", catching).why == "program ended"


def test_tests_that_ask_nothing_pass_nothing():
    assert judged(GOOD, "assert True").why == "nothing asked"


def test_the_program_cannot_replace_the_tasks_own_helpers():
    given = "def twice(x):\n    return 2 * x\ndef double(x):\n    pass\n"
    tests = "assert double(3) == twice(3)"
    assert judged("def twice(x): return 0\ndef double(x): return 0", tests, given=given).why == "test failed"
    assert judged(GOOD, tests, given=given).passed


def test_values_cross_as_they_are():
    values = [None, True, 1, 1.5, float("inf"), "ü", b"\0", (1, [2]), {1: {2}, (3,): frozenset({4})}, 1 + 2j, [], {}]
    assert judged(
        "def double(x): return x",
        f"inf = float('inf')\nv = {values!r}\nr = double(v)\nassert r == v and repr(r) == repr(v)",
    ).passed


def test_a_test_may_expect_an_exception():
    tests = "try:\n    double(1)\n    assert False\nexcept ValueError:\n    pass\n"
    assert judged("def double(x): raise ValueError", tests).passed
    assert judged("def double(x): raise KeyError", tests).why == "test raised"
    assert not judged("def double(x): raise UnicodeDecodeError('u', b'', 0, 1, '')", tests + "double(1)").passed
