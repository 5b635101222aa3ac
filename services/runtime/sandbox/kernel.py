"""System calls that Python has no name for. A call that fails raises `OSError`."""

from __future__ import annotations

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)

NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS = 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000
"""Kinds of namespaces (`linux/sched.h`)."""

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38

MOUNT_SETATTR = 442
"""Number of the system call; those above 424 are the same on every machine."""


class MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("spread", ctypes.c_uint64),
        ("users", ctypes.c_uint64),
    )


class CapabilityHeader(ctypes.Structure):
    """`struct __user_cap_header_struct`."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def unshare(kinds: int) -> None:
    """Leave the namespaces of the given kinds for new ones."""
    _checked("unshare", LIBC.unshare(ctypes.c_int(kinds)))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system, or a folder at a second place."""
    texts = [text.encode() for text in (source, target, kind)]
    _checked(f"mount {target}", LIBC.mount(*texts, ctypes.c_ulong(flags), options.encode()))


def protect(target: str) -> None:
    """Make a mount and all below it read-only, without devices and without programs that gain privileges."""
    attributes = MountAttributes(set=0x1 | 0x2 | 0x4)
    recursive, here = 0x8000, -100
    system_call(MOUNT_SETATTR, here, target.encode(), recursive, ctypes.byref(attributes), ctypes.sizeof(attributes))


def enter(root: str) -> None:
    """Make a mounted folder the root; the old one is no longer there."""
    os.chdir(root)
    _checked("pivot_root", LIBC.pivot_root(b".", b"."))
    _checked("umount", LIBC.umount2(b".", MNT_DETACH))
    os.chdir("/")


def prctl(option: int, *arguments: int) -> None:
    """One setting of the process."""
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _checked("prctl", LIBC.prctl(ctypes.c_int(option), *words))


def drop_capabilities() -> None:
    """Give up every privilege, also those within the own namespaces."""
    header = CapabilityHeader(version=0x20080522, pid=0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked("capset", LIBC.capset(ctypes.byref(header), ctypes.byref(nothing)))


def system_call(number: int, *arguments: object) -> int:
    """A system call by its number; integers are passed as long as a register is."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(f"system call {number}", LIBC.syscall(ctypes.c_long(number), *words))


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
