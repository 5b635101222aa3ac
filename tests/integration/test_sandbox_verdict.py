"""The verdict on a program is what its tests found, and nothing that the program says or does instead."""

from typing import Any

import pytest

from services.runtime.sandbox.limits import Limits
from services.runtime.sandbox.run import run
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


STOPS = "def double(x): raise StopIteration"


@pytest.mark.parametrize(
    ("source", "tests", "why"),
    [
        (STOPS, "for a, b in zip(map(double, [1, 2]), [2, 4]): assert a == b", "test raised"),
        (STOPS, "assert [*iter(lambda: double(1), 7)] == []", "test raised"),
        (STOPS, "try:\n    double(1)\n    assert False\nexcept RuntimeError:\n    pass", "test raised"),
        ("class Odd(StopIteration): pass\ndef double(x): raise Odd", "assert not [*map(double, [1])]", "test raised"),
        (
            "class Odd(Exception): pass\ndef double(x): raise Odd",
            "try: double(1)\nexcept RuntimeError: pass",
            "test raised",
        ),
        ("def double(x): raise SystemExit", "try: double(1)\nexcept Exception: pass", "test raised"),
        ("def double(x): return object()", "try: double(1)\nexcept TypeError: pass", "no plain answer"),
        ("def double(x): return object()", "try: double(1)\nexcept BaseException: pass", "no plain answer"),
        ("def double(x): return 'x' * 3_000_000", "try: double(1)\nexcept MemoryError: pass", "no plain answer"),
        ("class L(list): pass\ndef double(x): return L()", "assert type(double(1)) is list", "no plain answer"),
        ("def double(x): x.append(1); return [2]", "a = [2]\ndouble(a)\nassert a == [2]", "test failed"),
        ("def double(x): x['k'].clear(); return 1", "a = {'k': [2]}\nb = a['k']\ndouble(a)\nassert b", "test failed"),
        ("def double(x): return x", "a = [2]\nassert double(a) is not a", "test failed"),
        (
            "from collections import OrderedDict\ndef double(x): return OrderedDict(b=1, a=2)",
            "from collections import OrderedDict\nassert double(1) == OrderedDict(a=2, b=1)",
            "test failed",
        ),
    ],
)
def test_what_a_test_finds_where_it_runs_beside_the_program_it_finds_here(source, tests, why):
    """Each of these programs fails the tests in a shared process, or ends a loop of theirs without a word."""
    assert judged(source, tests).why == why


def test_what_a_program_does_to_its_arguments_is_seen_and_its_exceptions_keep_their_kind():
    sorts = "def double(x):\n    x.sort()\n    return x"
    assert judged(sorts, "a = [3, 1]\nassert double(a) is a and a == [1, 3]").passed
    inside = "def double(x):\n    x[0][1] = {4}\n    x[1].add(5)"
    assert judged(inside, "a = ([1, 2], {3})\nb = a[0]\ndouble(a)\nassert b == [1, {4}] and a[1] == {3, 5}").passed
    own = "class Odd(ValueError): pass\ndef double(x): raise Odd('so', 2)"
    assert judged(own, "try:\n    double(1)\nexcept ValueError as e:\n    assert e.args == ('so', 2)").passed
    counts = "from collections import Counter\ndef double(x): return Counter(x)"
    assert judged(counts, "assert double('aab')['a'] == 2 and double('aab')['z'] == 0").passed


def test_values_cross_as_they_are():
    values: list[Any] = [None, True, 1, 1.5, float("inf"), "ü", b"\0", (1, [2])]
    values += [{1: {2}, (3,): frozenset({4})}, 1 + 2j, [], {}]
    assert judged(
        "def double(x): return x",
        f"inf = float('inf')\nv = {values!r}\nr = double(v)\nassert r == v and repr(r) == repr(v)",
    ).passed


def test_a_test_may_expect_an_exception():
    tests = "try:\n    double(1)\n    assert False\nexcept ValueError:\n    pass\n"
    assert judged("def double(x): raise ValueError", tests).passed
    assert judged("def double(x): raise KeyError", tests).why == "test raised"
    assert not judged("def double(x): raise UnicodeDecodeError('u', b'', 0, 1, '')", tests + "double(1)").passed
