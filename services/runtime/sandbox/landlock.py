"""A second fence around files and the network where the kernel has one (Landlock, Linux 5.13 and newer).

It holds without namespaces, so that a mistake in the first fence is not the end: only the scratch folder may be
written, no TCP port may be bound or reached, no abstract socket or process outside may be spoken to.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from services.runtime.sandbox.kernel import PR_SET_NO_NEW_PRIVS, system_call
from services.runtime.sandbox.kernel import prctl as kernel_prctl

CREATE, ADD_RULE, RESTRICT = 444, 445, 446
"""Numbers of the system calls, the same on every machine."""

FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many kinds of access to files a version of Landlock knows; from the third on they change the file system."""

READ, LIST = 0b1101, 0b1000
"""Execute, read a file, list a folder; list a folder."""


class Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`: what is refused unless a rule allows it."""

    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Version of the kernel's Landlock; 0 where there is none."""
    try:
        return system_call(CREATE, None, 0, 1)
    except OSError:
        return 0


def restrict(writable: str) -> None:
    """Permanently refuse access that no rule allows; does nothing if the kernel has no Landlock."""
    if not (abi := version()):
        return
    files = (1 << max(n for v, n in FILE_RIGHTS.items() if v <= abi)) - 1
    ruleset = Ruleset(files=files, ports=0b11 if abi >= 4 else 0, scopes=0b11 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = system_call(CREATE, ctypes.byref(ruleset), size, 0)
    for folder, allowed in (("/", READ), (writable, files)):
        _allow(rules, folder, allowed)
    system_call(RESTRICT, rules, 0)
    os.close(rules)


def confine(readable: Iterable[str], writable: str, *, listable: Iterable[str] = ()) -> bool:
    """Permanently allow reading files and folders, everything below one folder, and no other access to files.

    Nor may processes outside be signalled. Of the folders `listable` only the names of what lies in them may be read.
    Returns whether the kernel has Landlock; without it nothing is refused. What does not exist is left out.
    """
    if not (abi := version()):
        return False
    files = (1 << max(n for v, n in FILE_RIGHTS.items() if v <= abi)) - 1
    ruleset = Ruleset(files=files, ports=0, scopes=0b11 if abi >= 6 else 0)
    rules = system_call(CREATE, ctypes.byref(ruleset), 24 if abi >= 6 else 8, 0)
    for place in dict.fromkeys(readable):
        if Path(place).exists():
            _allow(rules, place, READ if Path(place).is_dir() else READ & ~LIST)
    for folder in dict.fromkeys(listable):
        _allow(rules, folder, LIST)
    _allow(rules, writable, files)
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        _allow(rules, device, 0b110)
    kernel_prctl(PR_SET_NO_NEW_PRIVS, 1)
    system_call(RESTRICT, rules, 0)
    os.close(rules)
    return True


def _allow(rules: int, folder: str, allowed: int) -> None:
    opened = os.open(folder, os.O_PATH)
    rule = Beneath(allowed=allowed, folder=opened)
    system_call(ADD_RULE, rules, 1, ctypes.byref(rule), 0)
    os.close(opened)
