"""Worked steps: none that is right is judged wrong, and those that are understood are judged."""

from __future__ import annotations

import time

import pytest

from services.data.collect.arithmetic import wrong_steps

RIGHT = [
    "2\u00d73+1=7",
    "2\\cdot 3+1=7",
    "17/5=3 remainder 2",
    "9:30+45=10:15",
    "7+8=3 (mod 12)",
    "1 1/2=1.5",
    "3 x 4 + 2 = 14",
    "2·3=6",
    "√16+2=6",
    "2^3+1=9",
    "2³+1=9",
    "$5+$3=$8",
    "1/3=0.333",
    "1/3=0.33",
    "half of 10 + 3 = 8",
    "twice 5 + 2 = 12",
    "20% of 50 + 5 = 15",
    "12 ÷ 4 + 1 = 4",
    "17/5 = 3 R2",
    "17 / 5 = 3, remainder 2",
    "17/5=3 with 2 left over",
    "7/2=3 1/2",
    "90+30=2 hours",
    "10 000 + 5 = 10 005",
    "1010 + 1 = 1011 in binary",
    "6 times 2 + 1 = 13",
    "\u2212 3+5=2",
    "-3+5=2",
    "(2+3)*4=20",
    "5-(-3)=8",
    "1,5+1,5=3",
    "x-2+3=5 for another x",
    "3!+1=7",
    "|3-5|+1=3",
    "2+3=5+1=6",
    "5+5=3+7=10",
    "12*3+4=40",
    "1,200*3=3,600",
    "\\frac{1}{2}+1=1.5",
    "sin 30 + 1 = 1.5",
    "log 100 + 1 = 3",
    "3:2+1",
    "14 mod 4 + 1 = 3",
    "3 dozen - 6 = 30",
    "12 - 5 = 7 apples",
    "<<48/2=24>>",
    "4 choose 2 + 1 = 7",
    "10/4 = 2 and 1/2",
    "12 hours - 5 = 7",
    "1e3+1=1001",
    "0x10+1=17",
    "50%+25=75%",
    "11 pm + 2 = 1 am",
    "the sum of 5 and 10 + 3 = 18",
    "8:15 + 30 = 8:45",
    "5 ** 2 + 1 = 26",
    "17//5+1=4",
    "2 * (3 + 4) = 14",
    "3 \\times 4 = 12",
    "6\\div 2=3",
    "-5 - 3 = -8",
    "2.5*4=10",
    "100*1.05=105",
    "10 - 2 - 3 = 5",
    "1/2+1/2=1",
    "1000/3=333",
    "two-thirds of 9 + 1 = 7",
    "3 squared + 1 = 10",
    "a+2+3=9",
    "60+15=1 hour 15 minutes",
    "5 feet + 12 inches = 6 feet",
    "16+2=18 so",
    "11+16=27",
    "11 + 16 = 27",
]
"""Right steps, most of them part of something that sums of plain numbers are not."""

WRONG = [
    "3+4=8",
    "12 - 5 = 6",
    "1,200*3=3,700",
    "7-3-2=1",
    "10/3=3.5",
    "2*3+4=14",
    "2\u00d73=7",
    "4*6=25 so 24",
    "Step 1: 11 + 16 = 28",
    "so 5+5=11.",
    "First 1+1=3, then 2",
    "12 - 5 = 8 apples",
    "<<48/2=25>>",
    "Total = 3 + 4 = 8",
    "150+50=201",
    "3 x 4 = 13",
    "6 ÷ 2 = 4",
    "She has 9*4=35 left",
    "3+4=7 and 7*2=15",
    "1. 8+8=17",
    "2\\cdot 3=7",
    "x = 2+2=5",
    "15 + 19 = 33",
    "15 - 3 = 11",
]


@pytest.mark.parametrize("step", RIGHT)
def test_a_right_step_is_never_judged_wrong(step):
    assert list(wrong_steps(step)) == []
    assert list(wrong_steps(f"So we have:\n{step}\nand that is it.")) == []


@pytest.mark.parametrize("step", WRONG)
def test_a_wrong_step_that_is_understood_is_found(step):
    assert len(list(wrong_steps(step))) == 1


def test_the_step_is_quoted_as_it_is_written():
    assert list(wrong_steps("First 1+1=2, then 2\u00d73=7.")) == ["2\u00d73=7"]
    assert list(wrong_steps("then 2\\cdot 3=7")) == ["2\\cdot 3=7"]


@pytest.mark.parametrize("piece", ["1+", "1 +  ", "1=", "1,000", "so ", "\n 1. ", "3 x ", "\\cdot 2"])
def test_the_time_grows_with_the_length_alone(piece):
    start = time.process_time()
    list(wrong_steps(piece * (200_000 // len(piece))))
    assert time.process_time() - start < 2
