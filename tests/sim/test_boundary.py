"""The boundary's table is true: nothing is left out, and what it says is what happens."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import ctypes
import datetime as dt
import fcntl
import functools
import getpass
import hashlib
import http.client
import importlib
import json
import logging
import multiprocessing
import os
import pty
import queue
import random
import select
import signal
import socket
import socketserver
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings

import pytest
from click.testing import CliRunner

from routilux_sim import boundary, simulate
from routilux_sim.cli import cli
from routilux_sim.kernel.errors import EscapeError
from routilux_sim.world import audit, install

HERE = [entry for entry in boundary.entries() if boundary.is_here(entry)]
ROWS = [(row[0], row[1]) for row in install._rows()]


def name_of(entry):
    return f"{entry.module}.{entry.name}"


def having(*statuses):
    return [entry for entry in HERE if entry.status in statuses]


@pytest.mark.parametrize("module", boundary.LISTED)
def test_every_entry_point_has_an_entry(module):
    """Whatever this Python offers there to be called is in the table: a new name does not go unnoticed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        missing = [name for name in boundary.entry_points(module) if boundary.entry(module, name) is None]
    assert missing == []


def test_a_new_name_would_be_noticed(monkeypatch):
    """A function that a module did not have before is an entry point without an entry."""
    monkeypatch.setattr(select, "wait_for_ever", lambda: None, raising=False)
    select.wait_for_ever.__module__ = "select"
    assert "wait_for_ever" in set(boundary.entry_points("select"))
    assert boundary.entry("select", "wait_for_ever") is None


def test_no_name_has_two_entries():
    """The table says one thing about each name."""
    counts = collections.Counter((entry.module, entry.name) for entry in boundary.entries())
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_entry_says_why_or_what_to_do():
    """Nothing stands there without a note."""
    assert [entry for entry in boundary.entries() if not entry.note] == []


def owner_of(path):
    """Whatever holds a dotted path's last name, and that name."""
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        with contextlib.suppress(ImportError):
            owner = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:-1]:
                owner = getattr(owner, part)
            return owner, parts[-1]
    raise AssertionError(path)


def is_replaced(path):
    """Whether something stands there in a simulation, or in the place of some of its methods."""
    owner, name = owner_of(path)
    value = getattr(owner, name)
    return any((holder is owner and row == name) or holder is value for holder, row in ROWS)


@pytest.mark.parametrize("entry", having("simulated", "seeded"), ids=name_of)
def test_what_is_simulated_is_replaced_or_built_on_what_is(entry):
    """Nothing is called simulated or seeded that is left as it is."""
    if entry.on.startswith("routilux_sim."):
        module, _, name = entry.on.rpartition(".World.")
        assert callable(boundary.resolve(module, f"World.{name}"))
    else:
        assert is_replaced(entry.on or name_of(entry))


def test_what_is_allowed_is_left_as_it_is():
    """Nothing is called allowed in whose place something else stands."""
    replaced = {(id(owner), name) for owner, name in ROWS}
    names = [name_of(entry) for entry in having("allowed")]
    assert [name for name in names if (id(owner_of(name)[0]), owner_of(name)[1]) in replaced] == []


def test_the_global_generator_is_seeded():
    """The same seed gives the same numbers, another one others."""
    draw = [simulate(random.random, seed=seed).value for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def error_of(program):
    """What a simulation of it ends with, which must be an escape."""
    execution = simulate(program, log=False)
    assert execution.verdict == "inconclusive"
    assert isinstance(execution.error, EscapeError), execution.error
    return str(execution.error)


CONDITIONAL = {"os.read", "os.readv", "os.write", "os.writev"}
GUARDED = [
    entry for entry in having("escapes") if not entry.on and not entry.event and name_of(entry) not in CONDITIONAL
]


@pytest.mark.parametrize("entry", GUARDED, ids=name_of)
def test_a_guarded_name_ends_the_simulation(entry):
    """Calling it, whatever with, makes the run inconclusive, and the error names it and the remedy."""

    def program():
        with contextlib.suppress(Exception):
            boundary.resolve(entry.module, entry.name)()

    text = error_of(program)
    assert f"{entry.module}.{entry.name}".removesuffix(".__enter__") in text
    assert entry.note in text


LOOP_METHODS = [entry for entry in having("escapes") if entry.name.startswith("BaseEventLoop.")]


@pytest.mark.parametrize("entry", LOOP_METHODS, ids=name_of)
def test_what_a_simulated_loop_does_not_do_ends_the_simulation(entry):
    """Asking a loop for input and output, processes or signals makes the run inconclusive."""
    method = entry.name.removeprefix("BaseEventLoop.")
    assert f"{method}() of an asyncio event loop" in error_of(lambda: ask_a_loop(method))


def ask_a_loop(method):
    getattr(asyncio.new_event_loop(), method)()


def in_loop(call):
    """A program that awaits something."""

    async def main():
        await call()

    return lambda: asyncio.run(main())


def pair():
    return socket.socketpair()[0]


def port(kind):
    return lambda: kind(("127.0.0.1", 0), socketserver.BaseRequestHandler)


def unix(kind):
    return lambda: kind("/nonexistent/socket", socketserver.BaseRequestHandler)


def locking(lock):
    """A program that locks a file."""

    def program():
        with tempfile.TemporaryFile() as file:
            lock(file)

    return program


MP_KINDS = "BoundedSemaphore Condition Event JoinableQueue Lock Manager Pool Queue RLock Semaphore SimpleQueue"
UNIX_SERVERS = (
    "UnixStreamServer UnixDatagramServer ThreadingUnixStreamServer ThreadingUnixDatagramServer "
    "ForkingUnixStreamServer ForkingUnixDatagramServer"
)
SERVERS = "TCPServer UDPServer ThreadingTCPServer ThreadingUDPServer ForkingTCPServer ForkingUDPServer"


SAMPLES = {
    "_thread.start_new_thread": lambda: boundary.resolve("_thread", "start_new_thread")(int, ()),
    "asyncio.create_subprocess_exec": in_loop(lambda: asyncio.create_subprocess_exec("true")),
    "asyncio.create_subprocess_shell": in_loop(lambda: asyncio.create_subprocess_shell("true")),
    "asyncio.open_connection": in_loop(lambda: asyncio.open_connection("127.0.0.1", 1)),
    "asyncio.open_unix_connection": in_loop(lambda: asyncio.open_unix_connection("/nonexistent")),
    "asyncio.start_server": in_loop(lambda: asyncio.start_server(print, "127.0.0.1", 0)),
    "asyncio.start_unix_server": in_loop(lambda: asyncio.start_unix_server(print, "/nonexistent/socket")),
    "builtins.input": input,
    "fcntl.flock": locking(lambda file: fcntl.flock(file, fcntl.LOCK_EX)),
    "fcntl.lockf": locking(lambda file: fcntl.lockf(file, fcntl.LOCK_EX)),
    "http.client.HTTPConnection.connect": lambda: http.client.HTTPConnection("127.0.0.1", 1).connect(),
    "http.client.HTTPSConnection.connect": lambda: http.client.HTTPSConnection("127.0.0.1", 1).connect(),
    "multiprocessing.Array": lambda: multiprocessing.Array("i", 1),
    "multiprocessing.Barrier": lambda: multiprocessing.Barrier(1),
    "multiprocessing.Process": lambda: multiprocessing.Process(target=int).start(),
    "multiprocessing.Value": lambda: multiprocessing.Value("i"),
    **{f"multiprocessing.{name}": getattr(multiprocessing, name) for name in MP_KINDS.split()},
    "os.fork": os.fork,
    "os.forkpty": os.forkpty,
    "os.system": lambda: os.system("true"),
    "os.popen": lambda: os.popen("true"),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.posix_spawnp": lambda: os.posix_spawnp("true", ["true"], {}),
    **{f"os.{name}": (lambda name=name: getattr(os, name)("/nonexistent", "x")) for name in ("execl", "execlp")},
    **{f"os.{name}": (lambda name=name: getattr(os, name)("/nonexistent", "x", {})) for name in ("execle", "execlpe")},
    "os.execv": lambda: os.execv("/nonexistent", ["x"]),
    "os.execvp": lambda: os.execvp("/nonexistent", ["x"]),
    "os.execve": lambda: os.execve("/nonexistent", ["x"], {}),
    "os.execvpe": lambda: os.execvpe("/nonexistent", ["x"], {}),
    **{
        f"os.{name}": (lambda name=name: getattr(os, name)(os.P_WAIT, "/bin/true", "true"))
        for name in ("spawnl", "spawnlp")
    },
    **{
        f"os.{name}": (lambda name=name: getattr(os, name)(os.P_WAIT, "/bin/true", "true", {}))
        for name in ("spawnle", "spawnlpe")
    },
    **{
        f"os.{name}": (lambda name=name: getattr(os, name)(os.P_WAIT, "/bin/true", ["true"]))
        for name in ("spawnv", "spawnvp")
    },
    **{
        f"os.{name}": (lambda name=name: getattr(os, name)(os.P_WAIT, "/bin/true", ["true"], {}))
        for name in ("spawnve", "spawnvpe")
    },
    "os.kill": lambda: os.kill(1, 0),
    "os.killpg": lambda: os.killpg(os.getpgrp(), 0),
    "os.lockf": locking(lambda file: os.lockf(file.fileno(), os.F_LOCK, 0)),
    "pty.fork": pty.fork,
    "pty.spawn": lambda: pty.spawn("true"),
    "signal.pthread_kill": lambda: signal.pthread_kill(7, 0),
    "socket.create_connection": lambda: socket.create_connection(("127.0.0.1", 1)),
    "socket.create_server": lambda: socket.create_server(("127.0.0.1", 0)),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("127.0.0.1", 1),
    "socket.getfqdn": lambda: socket.getfqdn("127.0.0.1"),
    "socket.gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
    "socket.gethostbyname": lambda: socket.gethostbyname("127.0.0.1"),
    "socket.gethostbyname_ex": lambda: socket.gethostbyname_ex("127.0.0.1"),
    "socket.getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 1), 0),
    "socket.recv_fds": lambda: socket.recv_fds(pair(), 1, 1),
    "socket.send_fds": lambda: socket.send_fds(pair(), [b"x"], []),
    "socket.sethostname": lambda: socket.sethostname(socket.gethostname()),
    **{f"socketserver.{name}": port(getattr(socketserver, name)) for name in SERVERS.split()},
    **{
        f"socketserver.{name}": unix(getattr(socketserver, name))
        for name in UNIX_SERVERS.split()
        if hasattr(socketserver, name)
    },
    "ssl.get_server_certificate": lambda: ssl.get_server_certificate(("127.0.0.1", 1)),
    "subprocess.run": lambda: subprocess.run(["true"], check=False),
    "subprocess.call": lambda: subprocess.call(["true"]),
    "subprocess.check_call": lambda: subprocess.check_call(["true"]),
    "subprocess.check_output": lambda: subprocess.check_output(["true"]),
    "subprocess.getoutput": lambda: subprocess.getoutput("true"),
    "subprocess.getstatusoutput": lambda: subprocess.getstatusoutput("true"),
    "urllib.request.ftpwrapper": lambda: urllib.request.ftpwrapper("", "", "127.0.0.1", 1, "", 1),
    "urllib.request.localhost": lambda: urllib.request.localhost(),  # noqa: PLW0108 - looked up inside
    "urllib.request.thishost": lambda: urllib.request.thishost(),  # noqa: PLW0108 - looked up inside
    "urllib.request.urlopen": lambda: urllib.request.urlopen("http://127.0.0.1:1/"),
    "urllib.request.urlretrieve": lambda: urllib.request.urlretrieve("http://127.0.0.1:1/"),
}
OTHERS = [
    entry for entry in having("escapes") if (entry.on or entry.event) and not entry.name.startswith("BaseEventLoop.")
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets are left as they are
@pytest.mark.parametrize("entry", OTHERS, ids=name_of)
def test_what_is_caught_otherwise_ends_the_simulation(entry):
    """Names without a guard of their own are caught by an audit event, or by what they are built on."""
    if entry.module == "urllib.request":
        # They remember the machine's address.
        urllib.request._localhost = urllib.request._thishost = None
    sample = SAMPLES[name_of(entry)]

    def program():
        with contextlib.suppress(Exception):
            sample()

    assert "is not simulated" in error_of(program)


def test_every_event_that_the_table_names_is_heard():
    """The audit hook listens to what entries say they are caught by."""
    assert {entry.event for entry in boundary.entries() if entry.event} <= set(audit.EVENTS)


def allowed_calls():
    """Some of each kind of what may be done."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "file")
        with open(path, "wb") as file:
            file.write(b"text")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
        descriptor = os.open(path, os.O_RDWR)
        assert os.read(descriptor, 9) == b"text"
        os.write(descriptor, b"!")
        os.close(descriptor)
        assert os.stat(path).st_size == 5
        database = sqlite3.connect(path + ".db")
        assert database.execute("select 1").fetchone() == (1,)
        database.close()
        handler = logging.FileHandler(path + ".log")
        handler.emit(logging.makeLogRecord({"msg": "said"}))
        handler.close()
        assert urllib.request.urlopen(f"file://{path}").read() == b"text!"
    with open(os.devnull) as nothing:
        assert nothing.read() == ""
    for end in socket.socketpair():
        end.close()
    for end in os.pipe():
        os.close(end)
    os.kill(os.getpid(), 0)
    signal.signal(signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
    assert hashlib.sha256(b"").hexdigest()
    assert ctypes.CDLL(None).abs(-1) == 1
    assert contextvars.copy_context() is not None
    assert functools.lru_cache(lambda: 1)() == 1
    assert os.getpid() > 0
    assert os.cpu_count()
    assert dt.timedelta(1)
    assert time.strptime("2026", "%Y")
    assert len(getpass.getuser()) > 0
    sys.setswitchinterval(sys.getswitchinterval())
    assert threading.main_thread().name == "MainThread"
    assert isinstance(concurrent.futures.Future(), concurrent.futures.Future)
    assert queue.Queue().empty()
    assert ssl.create_default_context()
    assert multiprocessing.get_all_start_methods()
    return "done"


def test_what_is_allowed_runs():
    """Files, settings, questions about the machine and harmless objects do not disturb a simulation."""
    assert simulate(allowed_calls).result() == "done"


def test_the_command_prints_the_table():
    """`routilux-sim boundary` fits into 80 columns, and shows every name that this Python has."""
    result = CliRunner().invoke(cli, ["boundary"])
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    assert f"{len(HERE)} entry points" in result.output
    words = set(result.output.split())
    assert [name_of(entry) for entry in HERE if entry.name not in words] == []


def test_the_command_selects():
    """By module and by status; JSON is one object a line."""
    result = CliRunner().invoke(cli, ["boundary", "--module", "time", "--status", "escapes", "--json"])
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert {row["name"] for row in rows} == {"clock_settime", "clock_settime_ns", "pthread_getcpuclockid"}
    assert {(row["module"], row["status"]) for row in rows} == {("time", "escapes")}


def test_the_command_refuses_a_module_that_it_does_not_know():
    """The error says which there are."""
    result = CliRunner().invoke(cli, ["boundary", "--module", "tyme"])
    assert result.exit_code == 2
    assert "'tyme'" in result.output
    assert "threading" in result.output
