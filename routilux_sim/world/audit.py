"""What escapes under no guarded name: the interpreter's audit events tell of it, however the function was come by.

One hook, added to the process at the first simulation and never taken away, because there is no way to. It does nothing
but one test for other events, and lets everything pass that is not done by a simulated task.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from routilux_sim import boundary
from routilux_sim.kernel.core import Kernel, here
from routilux_sim.world.escapes import NO_IO, error_of, is_waiting_file
from routilux_sim.world.frames import is_debugged, is_world

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

__all__ = ["EVENTS", "install"]

Condition = Callable[[Kernel, tuple[Any, ...]], bool]


class _Watched(NamedTuple):
    """An audit event: what to call it, what to do instead, and when it escapes (None: always)."""

    what: str
    remedy: str
    condition: Condition | None


def _of(module: str, name: str, condition: Condition | None = None, what: str = "") -> _Watched:
    """What the boundary's table says about a name."""
    entry = boundary.entry(module, name)
    assert entry is not None  # noqa: S101 - the table is ours
    return _Watched(what or f"{module}.{name}()", entry.note, condition)


def _is_other_process(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    return bool(args[0] != os.getpid())


def _is_other_thread(kernel: Kernel, args: tuple[Any, ...]) -> bool:
    return bool(args[0] != kernel.thread_id)


def _is_waiting_flock(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    return not args[1] & (fcntl.LOCK_NB | fcntl.LOCK_UN)


def _is_waiting_lockf(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    return bool(args[1] == os.F_LOCK)


def _is_waiting_fcntl(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    return args[1] in {fcntl.F_SETLKW, getattr(fcntl, "F_OFD_SETLKW", None)}


def _is_remote(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    return not str(args[0]).lower().startswith(("file:", "data:"))


def _is_waiting_open(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    file, _, flags = args
    if isinstance(file, int) and file <= 2:
        return False
    writes_only = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY
    return is_waiting_file(file) and not (writes_only and _is_terminal(file))


def _is_terminal(file: Any) -> bool:
    return not isinstance(file, int) and os.fsdecode(file).startswith("/dev/")


def _is_waiting_symbol(kernel: Kernel, args: tuple[Any, ...]) -> bool:  # noqa: ARG001 - a condition's
    return args[1] in _WAITING_SYMBOLS.split()


_WAITING_SYMBOLS = (
    "sleep usleep nanosleep clock_nanosleep select pselect poll ppoll epoll_wait pause sigwait sigwaitinfo "
    "sigtimedwait wait wait3 wait4 waitid waitpid fork vfork system popen execv execve execvp posix_spawn posix_spawnp "
    "pthread_create pthread_join pthread_mutex_lock pthread_cond_wait pthread_cond_timedwait sem_wait sem_timedwait "
    "thrd_create thrd_sleep connect accept recv recvfrom recvmsg Sleep SleepEx WaitForSingleObject "
    "WaitForMultipleObjects"
)

_CONNECTIONS = (
    "http.client.connect",
    "ftplib.connect",
    "imaplib.open",
    "nntplib.connect",
    "poplib.connect",
    "smtplib.connect",
    "telnetlib.Telnet.open",
    "webbrowser.open",
)

EVENTS: dict[str, _Watched] = {
    **{
        f"_thread.{name}": _Watched(
            f"the real _thread.{name}(), which the program has kept out of reach,", f"call it as _thread.{name}()", None
        )
        for name in ("start_new_thread", "start_joinable_thread")
    },
    "builtins.input": _of("builtins", "input", what="input()"),
    "ctypes.dlsym": _Watched(
        "looking up a C function that waits, or starts something,", "call what Python has for it", _is_waiting_symbol
    ),
    "fcntl.fcntl": _Watched("fcntl.fcntl(F_SETLKW)", "share a threading.Lock", _is_waiting_fcntl),
    "fcntl.flock": _of("fcntl", "flock", _is_waiting_flock),
    "fcntl.lockf": _of("fcntl", "lockf", _is_waiting_flock),
    "open": _Watched(
        "open() of a pipe, a terminal, a socket or a source of randomness",
        f"{NO_IO}; regular files may be opened",
        _is_waiting_open,
    ),
    "os.exec": _of("os", "execv", what="os.exec…()"),
    "os.fork": _of("os", "fork"),
    "os.forkpty": _of("os", "forkpty"),
    "os.kill": _of("os", "kill", _is_other_process),
    "os.killpg": _of("os", "killpg"),
    "os.lockf": _of("os", "lockf", _is_waiting_lockf),
    "os.posix_spawn": _of("os", "posix_spawn"),
    "os.spawn": _of("os", "spawnv", what="os.spawn…()"),
    "os.startfile": _of("os", "startfile"),
    "os.system": _of("os", "system"),
    "pty.spawn": _of("pty", "spawn"),
    "signal.pthread_kill": _of("signal", "pthread_kill", _is_other_thread),
    "socket.bind": _of("socket", "socket.bind"),
    "socket.connect": _of("socket", "socket.connect"),
    "socket.getaddrinfo": _of("socket", "getaddrinfo"),
    "socket.gethostbyaddr": _of("socket", "gethostbyaddr"),
    "socket.gethostbyname": _of("socket", "gethostbyname"),
    "socket.getnameinfo": _of("socket", "getnameinfo"),
    "socket.sendmsg": _of("socket", "socket.sendmsg"),
    "socket.sendto": _of("socket", "socket.sendto"),
    "socket.sethostname": _of("socket", "sethostname"),
    "subprocess.Popen": _of("subprocess", "Popen"),
    "time.sleep": _Watched(
        "the real time.sleep(), which the program has kept out of reach,", "call it as time.sleep()", None
    ),
    "urllib.Request": _of("urllib.request", "urlopen", _is_remote),
    **{event: _Watched(f"{event}()", NO_IO, None) for event in _CONNECTIONS},
}
"""By audit event."""

_installed: list[Callable[..., None]] = []


def install() -> None:
    """Add the hook to the process, if it is not there yet."""
    if not _installed:
        _installed.append(_hook)
        sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...], events: dict[str, _Watched] = EVENTS) -> None:
    # A default argument, because a local name is found faster than a global one: this runs for every event there is.
    if event not in events:
        return
    kernel = here()
    if kernel is None:
        return
    watched = events[event]
    frame = sys._getframe(1)
    if is_world(frame) or (watched.condition is not None and not watched.condition(kernel, args)):
        return
    if not is_debugged(frame):
        # Not `stop`: interpreters do not trace inside hooks, so control must not go from here to another task.
        kernel.condemn(error_of(kernel, watched.what, watched.remedy, frame))
