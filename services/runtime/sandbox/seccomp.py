"""The filter of system calls (seccomp, `linux/seccomp.h`): what is not allowed fails with EPERM.

No sockets, no children (a `clone` must make a thread), no other program, no mounts, tracing, keys, io_uring or
namespaces. The filter stays until the process ends; no privilege takes it off.
"""

from __future__ import annotations

import ctypes
import errno
import platform

from services.runtime.sandbox.kernel import PR_SET_SECCOMP, prctl
from services.runtime.sandbox.syscalls import ALLOWED, ARCHITECTURES, JUDGED, Numbers

LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
"""Instructions of the filter's machine (`linux/bpf_common.h`): load a word, jump if equal, jump if any bit is set."""

NUMBER, MACHINE, FIRST, SECOND = 0, 4, 16, 24
"""Where the call's number, the machine and the low halves of its first two arguments lie (`struct seccomp_data`)."""

KILL, REFUSE, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

CLONE_THREAD = 0x10000
TERMINAL_QUESTIONS = (0x5401, 0x5450, 0x5451)
"""`TCGETS`, which asks whether a file is a terminal, and the two that set whether a descriptor outlives `exec`."""

Instruction = tuple[int, int, int, int]
"""Code, steps to jump if true, if false, operand."""


class Instructions(ctypes.Structure):
    """`struct sock_filter`."""

    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instructions)))


def restrict() -> None:
    """Filter the calls of this process for good. Raises `OSError` on a machine whose numbers are not known here."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    filter_ = program(machine)
    array = (Instructions * len(filter_))(*(Instructions(*step) for step in filter_))
    filter_program = Program(len(filter_), array)
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(filter_program))


def program(machine: str) -> list[Instruction]:
    """The filter for one kind of machine."""
    name, column = ARCHITECTURES[machine]
    head = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, name), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    plain = [step for number in _numbers(ALLOWED, column) for step in ((EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW))]
    clone, clone3, ioctl = _numbers(JUDGED, column)
    thread = [(LOAD, 0, 0, FIRST), (ANY_BIT, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW), refusal(errno.EPERM)]
    terminal = [step for word in TERMINAL_QUESTIONS for step in ((EQUAL, 0, 1, word), (RETURN, 0, 0, ALLOW))]
    # Its arguments lie in memory, where a filter cannot look; libc falls back to clone where there is none.
    new_clone = [refusal(errno.ENOSYS)]
    judged = [
        _when(clone, thread),
        _when(clone3, new_clone),
        _when(ioctl, [(LOAD, 0, 0, SECOND), *terminal, refusal(errno.EPERM)]),
    ]
    return [*head, *plain, *(step for steps in judged for step in steps), refusal(errno.EPERM)]


def refusal(error: int) -> Instruction:
    """The call fails with this error."""
    return (RETURN, 0, 0, REFUSE | error)


def _when(number: int, steps: list[Instruction]) -> list[Instruction]:
    return [(EQUAL, 0, len(steps), number), *steps]


def _numbers(calls: Numbers, column: int) -> list[int]:
    return [number for numbers in calls.values() if (number := numbers[column]) is not None]
