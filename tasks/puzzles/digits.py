"""Column arithmetic, written out: one step per digit from the right, each a small table look-up.

A step reads `5*7+3=38`: digit, factor, carry in; then always two digits, carry out and the digit of the result. Fixed
widths keep every operand at a fixed distance, which is what a small transformer can attend to. In subtraction the
first of the two digits is the borrow: `3-4-0=19`.
"""

from __future__ import annotations


def times(number: int, factor: int) -> tuple[str, int]:
    """The steps of number * factor, for a factor of one digit, and the product."""
    steps, carry = [], 0
    for digit in reversed(str(number)):
        total = int(digit) * factor + carry
        steps.append(f"{digit}*{factor}+{carry}={total:02d}")
        carry = total // 10
    return " ".join(steps), number * factor


def plus(a: int, b: int) -> tuple[str, int]:
    """The steps of a + b, for numbers of the same length, and the sum."""
    steps, carry = [], 0
    for x, y in zip(reversed(str(a)), reversed(str(b)), strict=True):
        total = int(x) + int(y) + carry
        steps.append(f"{x}+{y}+{carry}={total:02d}")
        carry = total // 10
    return " ".join(steps), a + b


def minus(a: int, b: int) -> tuple[str, int]:
    """The steps of a - b, for numbers of the same length with a >= b, and the difference."""
    steps, borrow = [], 0
    for x, y in zip(reversed(str(a)), reversed(str(b)), strict=True):
        rest = int(x) - int(y) - borrow
        step = f"{x}-{y}-{borrow}"
        borrow = int(rest < 0)
        steps.append(f"{step}={borrow}{rest % 10}")
    return " ".join(steps), a - b
