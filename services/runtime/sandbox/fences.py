"""The fences, in the only order in which they can be raised. One that cannot be raised ends the process: `Missing`.

Each thing that is promised has its own: network (namespace, filter), files (root, Landlock), processes (namespace,
filter, limit), memory, time and disk (limits), privileges (user, capabilities, `no_new_privs`).
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from services.runtime.sandbox import kernel, landlock, root, seccomp
from services.runtime.sandbox.limits import Limits

NOBODY = 65534
"""The user that owns nothing."""

OWN = kernel.NEWNS | kernel.NEWPID | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS


class Missing(Exception):
    """A fence that this kernel or this user cannot raise."""


def leave() -> None:
    """Namespaces of their own for this process (files, network, IPC) and its children (processes)."""
    if os.geteuid() == 0:
        with _fence("namespaces of mounts, processes, network, IPC"):
            kernel.unshare(OWN)
        return
    user, group = os.geteuid(), os.getegid()
    with _fence("user namespaces of an ordinary user (sysctl user.max_user_namespaces, AppArmor)"):
        kernel.unshare(kernel.NEWUSER | OWN)
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{NOBODY} {user} 1"),
            ("gid_map", f"{NOBODY} {group} 1"),
        ):
            _write(f"/proc/self/{name}", line)


def close_in(limits: Limits) -> None:
    """Confine this process, a child of one that has left, for good."""
    with _fence("a root of its own"):
        root.enter(limits)
    with _fence("an unprivileged user"):
        _become_nobody()
    with _fence("limits of resources"):
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        _limit(limits)
    with _fence("capabilities and no_new_privs"):
        kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    with _fence("Landlock"):
        landlock.restrict(root.SCRATCH)
    with _fence("seccomp"):
        seccomp.restrict()


def _become_nobody() -> None:
    """Where the process is root: nobody, in a user namespace in which nobody else exists."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        kernel.unshare(kernel.NEWUSER)


def _limit(limits: Limits) -> None:
    seconds = int(limits.seconds) + 1
    bounds = {
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: limits.disk,
        resource.RLIMIT_NPROC: limits.threads,
        resource.RLIMIT_NOFILE: limits.descriptors,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for what, most in bounds.items():
        resource.setrlimit(what, (most, most))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, text.encode())
    os.close(descriptor)


@contextmanager
def _fence(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Missing(f"{name}: {error.strerror}") from error
