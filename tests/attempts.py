"""Programs that try to get out of the sandbox: each ends in an error, or it has got out.

`{port}`, `{pid}`, `{secret}` and `{outside}` are a listening port, the asking process, and files outside.
"""

import textwrap

REFUSED = {"EPERM", "EACCES"}
GONE = {"ENOENT"}
FULL = {"ENOSPC", "EFBIG", "EDQUOT"}

ATTEMPTS = {
    "TCP to a server on this machine": ("socket.create_connection(('127.0.0.1', {port}), 2)", REFUSED),
    "TCP that listens": ("socket.create_server(('127.0.0.1', 0))", REFUSED),
    "UDP": ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))", REFUSED),
    "IPv6": ("socket.socket(socket.AF_INET6, socket.SOCK_STREAM)", REFUSED),
    "a UNIX socket": ("socket.socket(socket.AF_UNIX).bind('./s')", REFUSED),
    "an abstract socket": ("socket.socket(socket.AF_UNIX).bind(chr(0) + 'aevolve-' + str({pid}))", REFUSED),
    "a pair of sockets": ("socket.socketpair()", REFUSED),
    "netlink": ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", REFUSED),
    "DNS": ("socket.getaddrinfo('example.invalid', 80)", {"gaierror"}),
    "the passwords": ("open('/etc/shadow').read()", GONE),
    "a file at home": ("open({secret!r}).read()", GONE),
    "up and out by name": ("open('../' * 20 + {secret!r}).read()", GONE),
    "a symbolic link out": ("(os.symlink({secret!r}, 'link'), open('link').read())", GONE),
    "a hard link out": ("os.link({secret!r}, 'hard')", GONE),
    "the asking process's environment": ("open('/proc/{pid}/environ').read()", GONE),
    "its own place among processes": ("open('/proc/self/status').read()", GONE),
    "writing a file outside": ("open({outside!r}, 'w').write('x')", GONE | REFUSED),
    "changing the standard library": ("open(os.__file__, 'a').write('x')", REFUSED | {"EROFS"}),
    "a child": ("os.fork()", REFUSED),
    "a fork bomb": ("[os.fork() for _ in range(10_000)]", REFUSED),
    "a shell": ("subprocess.run(['/bin/sh', '-c', 'true'], check=True)", REFUSED | GONE),
    "another program in its place": ("os.execv(sys.executable, ['python', '-c', ''])", REFUSED | GONE),
    "a thread bomb": (
        "[threading.Thread(target=time.sleep, args=(5,), daemon=True).start() for _ in range(500)]",
        {"RuntimeError"},
    ),
    "memory at once": ("bytearray(8 << 30)", {"MemoryError"}),
    "memory by and by": ("hoard()", {"MemoryError"}),
    "shared memory": ("mmap.mmap(-1, 8 << 30)", {"ENOMEM"}),
    "files that are nowhere": ("os.memfd_create('x')", REFUSED),
    "one large file": ("open('large', 'wb').write(bytes(200 << 20))", FULL),
    "many files": ("[open(f'f{{i}}', 'w').close() for i in range(5_000)]", FULL),
    "many large files": ("[open(f'g{{i}}', 'wb').write(bytes(4 << 20)) for i in range(100)]", FULL),
    "many open files": ("[os.dup(0) for _ in range(5_000)]", {"EMFILE"}),
    "killing the asking process": ("os.kill({pid}, 9)", REFUSED),
    "killing everything": ("os.kill(-1, 9)", REFUSED),
    "tracing the asking process": ("libc('ptrace', 16, {pid}, 0, 0)", REFUSED),
    "reading another's memory": ("libc('process_vm_readv', {pid}, 0, 0, 0, 0, 0)", REFUSED),
    "being root": ("os.setuid(0)", REFUSED),
    "being in root's group": ("os.setresgid(0, 0, 0)", REFUSED),
    "another session": ("os.setsid()", REFUSED),
    "another root": ("os.chroot('.')", REFUSED),
    "a mount": ("libc('mount', b'proc', b'/tmp', b'proc', 0, 0)", REFUSED),
    "an unmount": ("libc('umount2', b'/', 2)", REFUSED),
    "a user namespace": ("libc('unshare', 0x10000000)", REFUSED),
    "another's namespace": ("libc('setns', 0, 0)", REFUSED),
    "another name of the host": ("libc('sethostname', b'x', 1)", REFUSED),
    "a privilege": ("libc('prctl', 47, 2, 21, 0, 0)", REFUSED),
    "kernel programs": ("call(321, 280)", REFUSED),
    "keys": ("call(250, 427)", REFUSED),
    "io_uring": ("call(425, 427)", REFUSED),
    "performance counters": ("call(298, 241)", REFUSED),
    "faults of memory": ("call(323, 282)", REFUSED),
    "a file by its handle": ("call(304, 265)", REFUSED),
    "a kernel module": ("call(175, 105)", REFUSED),
    "a child by clone3": ("call(435, 435)", {"ENOSYS"}),
    "a device": ("os.mknod('disk', 0o60600, os.makedev(8, 0))", REFUSED),
    "more memory than allowed": (
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
        {"ValueError"} | REFUSED,
    ),
}
"""By name: what is tried, and the errors that it may end in."""

OUTSIDE = (
    "TCP to a server on this machine",
    "UDP",
    "a UNIX socket",
    "an abstract socket",
    "a file at home",
    "a child",
    "a shell",
    "a symbolic link out",
    "the asking process's environment",
    "its own place among processes",
    "writing a file outside",
    "files that are nowhere",
    "another session",
)
"""Attempts that are harmless and succeed for anybody outside the sandbox."""


def program(attempt: str, **facts: object) -> str:
    """A program whose function `attempt` says how the attempt ended: `done`, or the error."""
    body = ATTEMPTS[attempt][0].format(**facts)
    return textwrap.dedent("""
        import ctypes, errno, mmap, os, platform, resource, socket, subprocess, sys, threading, time

        def libc(name, *args):
            if getattr(ctypes.CDLL(None, use_errno=True), name)(*args) < 0:
                raise OSError(ctypes.get_errno(), name)

        def call(x86, arm):
            libc("syscall", arm if platform.machine() == "aarch64" else x86, 0, 0, 0, 0, 0)

        def hoard():
            held = []
            while True:
                held.append(bytearray(16 << 20))

        def attempt():
            try:
                BODY
            except OSError as error:
                return errno.errorcode.get(error.errno, type(error).__name__)
            except BaseException as error:
                return type(error).__name__
            return "done"
    """).replace("BODY", body)
