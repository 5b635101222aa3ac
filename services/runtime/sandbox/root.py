"""A file system of its own: empty, in memory, of bounded size, with the standard library to read and nothing else."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from services.runtime.sandbox import kernel
from services.runtime.sandbox.limits import Limits

NEW = Path("/tmp")  # noqa: S108  # any folder that is there: what is mounted on it is seen by this process alone
SCRATCH = "/tmp"  # noqa: S108  # of the new root: where programs expect to write

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""Where shared libraries lie that the standard library loads when it is asked to."""


def enter(limits: Limits) -> None:
    """Make it the root of this process, which must have a mount namespace of its own, and go to its scratch folder."""
    paths = [path for path in map(Path, (sysconfig.get_path("stdlib"), *LIBRARIES)) if path.exists()]
    opened = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths if not path.is_symlink()}
    links = {path: path.readlink() for path in paths if path.is_symlink()}
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    options = f"size={limits.disk},nr_inodes={limits.files},mode=755"
    kernel.mount("none", str(NEW), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    for path, descriptor in opened.items():
        _show(path, descriptor)
    for path, target in links.items():
        _inside(path).symlink_to(target)
    _inside(Path(SCRATCH)).mkdir(exist_ok=True)
    _inside(Path(SCRATCH)).chmod(0o777)  # whoever the program will be, it is alone here
    kernel.enter(str(NEW))
    os.chdir(SCRATCH)


def _show(path: Path, descriptor: int) -> None:
    """The same folder or file at the same place of the new root, to read."""
    place = _inside(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(exist_ok=True) if path.is_dir() else place.touch()
    kernel.mount(f"/proc/self/fd/{descriptor}", str(place), "", kernel.MS_BIND | kernel.MS_REC)
    kernel.protect(str(place))
    os.close(descriptor)


def _inside(path: Path) -> Path:
    return NEW / path.relative_to("/")
