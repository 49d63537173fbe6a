"""What escapes is caught however the program came by it, is named where it was called, and nobody else is disturbed."""

from __future__ import annotations

import _thread
import ctypes
import io
import multiprocessing
import os
import pdb
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from os import fork, posix_spawn, system
from socket import getaddrinfo
from subprocess import Popen

import pytest

from routilux_sim import EscapeError, explore, simulate
from routilux_sim.world import audit, escapes

HIDDEN = frozenset([fork, system, getaddrinfo])
"""Where nobody looks for captured names."""


def line_of(function, offset=1):
    return function.__code__.co_firstlineno + offset


def call_fork():
    fork()


def call_system():
    system("exit 3")


def call_posix_spawn():
    posix_spawn("/bin/true", ["true"], {})


def call_popen():
    Popen(["true"])


def call_getaddrinfo():
    getaddrinfo("127.0.0.1", 1)


def call_out_of_a_set():
    next(f for f in HIDDEN if f is fork)()


def call_a_module_of_c():
    __import__("posix").fork()


@pytest.mark.parametrize(
    "program",
    [
        call_fork,
        call_system,
        call_posix_spawn,
        call_popen,
        call_getaddrinfo,
        call_out_of_a_set,
        call_a_module_of_c,
    ],
    ids=lambda program: program.__name__,
)
def test_a_captured_name_does_not_get_through(program):
    """The run is inconclusive, and the error says in which file and line, and shows the call as it is written there."""
    error = simulate(program).error
    assert isinstance(error, EscapeError)
    assert (error.filename, error.line) == (__file__, line_of(program))
    assert error.call is not None
    assert error.call.endswith(")")
    assert f"{__file__}:{error.line}" in str(error)
    assert error.call in str(error)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no audit event for it")
def test_a_thread_that_slips_out_is_caught():
    """Also when its starter was captured where nobody looks."""
    start = frozenset([_thread.start_new_thread])

    def program():
        next(iter(start))(int, ())

    assert "_thread.start_new_thread()" in str(simulate(program).error)


def test_machinery_is_left_out_of_where():
    """What is named is the program's line, not that of the library that it called, and the task."""

    def program():
        thread = threading.Thread(target=lambda: subprocess.check_output(["true"]), name="runner")
        thread.start()
        thread.join()

    error = simulate(program).error
    assert error.filename == __file__
    assert error.call == 'subprocess.check_output(["true"])'
    assert "task 'runner'" in str(error)
    assert "subprocess.Popen()" in str(error)


def test_a_long_call_over_several_lines_is_shown_on_one():
    """The words are the program's; there may be too many of them."""

    def program():
        subprocess.run(
            ["true"],
            check=False,
        )

    assert simulate(program).error.call == 'subprocess.run( ["true"], check=False, )'


def test_catching_everything_does_not_help():
    """A program that swallows whatever is raised is stopped at its next step, and shows nothing."""
    went_on = []

    def program():
        for _ in range(3):
            try:
                fork()
            except BaseException:  # noqa: BLE001 - as careless programs do
                time.sleep(1)
                went_on.append(True)

    report = explore(program, schedules=5)
    assert (report.verdict, report.schedules, went_on) == ("inconclusive", 1, [])
    assert "os.fork()" in report.reason


def test_other_tasks_do_not_go_on_after_an_escape():
    """While the task unwinds, nobody else gets a turn."""
    turns = []

    def program():
        threading.Thread(target=turns.append, args=(1,)).start()
        try:
            fork()
        finally:
            time.sleep(1)

    for _ in range(3):
        assert isinstance(simulate(program, strategy="fifo").error, EscapeError)
    assert turns == []


def test_a_pool_of_processes_is_named():
    """It is not its inner workings that are complained of."""

    def program():
        with ProcessPoolExecutor(1) as pool:
            pool.submit(int)

    error = simulate(program).error
    assert "concurrent.futures.ProcessPoolExecutor()" in str(error)
    assert error.call == "ProcessPoolExecutor(1)"


def test_a_process_is_named_where_it_is_started():
    """Making the object is harmless."""

    def program():
        multiprocessing.Process(target=int).start()

    assert simulate(lambda: multiprocessing.Process(target=int) and None).verdict == "passed"
    assert simulate(program).error.call == "multiprocessing.Process(target=int).start()"


@pytest.mark.parametrize("end", [0, 1], ids=["read", "write"])
def test_pipes_escape_and_regular_files_do_not(end, tmp_path):
    """Reading from a pipe may wait, and so may writing to one."""
    path = tmp_path / "file"
    path.write_bytes(b"x")

    def use(descriptor):
        return os.read(descriptor, 1) if end == 0 else os.write(descriptor, b"x")

    def on_file():
        descriptor = os.open(path, os.O_RDWR)
        use(descriptor)
        os.close(descriptor)

    assert simulate(on_file).verdict == "passed"
    pipe = os.pipe()
    try:
        error = simulate(lambda: use(pipe[end])).error
    finally:
        os.close(pipe[0])
        os.close(pipe[1])
    assert isinstance(error, EscapeError)
    assert f"os.{'write' if end else 'read'}()" in str(error)


def test_a_named_pipe_is_not_opened(tmp_path):
    """Opening it would wait for the other side."""
    os.mkfifo(tmp_path / "pipe")
    assert isinstance(simulate(lambda: open(tmp_path / "pipe")).error, EscapeError)  # noqa: SIM115 - it does not open


def test_randomness_from_a_device_is_not_seeded():
    """Reading it would make every run a different one."""
    assert isinstance(simulate(lambda: open("/dev/urandom")).error, EscapeError)  # noqa: SIM115 - it does not open


def test_a_socket_is_harmless_until_it_is_used():
    """Pairs may be made and closed; receiving waits."""

    def harmless():
        for end in socket.socketpair():
            end.close()

    def waiting():
        left, right = socket.socketpair()
        with left, right:
            left.recv(1)

    assert simulate(harmless).verdict == "passed"
    assert "socket.socket.recv()" in str(simulate(waiting).error)


def test_functions_of_c_that_wait_are_not_looked_up():
    """Others are, and calling them is up to the program."""
    library = ctypes.CDLL(None)
    assert simulate(lambda: library.labs(-1)).value == 1
    assert isinstance(simulate(lambda: library.usleep(1)).error, EscapeError)


def test_a_simulated_thread_cannot_be_signalled():
    """Its number is no thread's of the system's: taking it for one could crash the process."""

    def program():
        thread = threading.Thread(target=time.sleep, args=(1,))
        thread.start()
        signal.pthread_kill(thread.ident, signal.SIGTERM)

    assert "signal.pthread_kill()" in str(simulate(program).error)


def test_real_threads_go_on_as_before():
    """While a simulation is under way, other threads of the process may do all of it."""
    done, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            left, right = socket.socketpair()
            with left, right:
                left.send(b"x")
                done.append(right.recv(1))
            read, write = os.pipe()
            os.write(write, b"y")
            done.append(os.read(read, 1))
            os.close(read)
            os.close(write)
            done.append(subprocess.run(["true"], check=False).returncode)

    def program():
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, [1, 2]))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while len(done) < 9 and time.monotonic() < deadline:
            assert explore(program, schedules=20).verdict == "passed"
    finally:
        stop.set()
        thread.join()
    assert set(done) == {b"x", b"y", 0}


def test_everything_is_what_it_was_afterwards():
    """Between simulations nothing is guarded, and the hook lets everything pass."""
    before = [os.read, socket.socket.__dict__.get("recv"), subprocess.Popen.__init__, select.select]
    simulate(int)
    assert [os.read, socket.socket.__dict__.get("recv"), subprocess.Popen.__init__, select.select] == before
    assert subprocess.run(["true"], check=False).returncode == 0


def test_a_guard_passes_for_what_it_stands_for():
    """Inside, whoever asks for its name, or whether something is an instance, gets the answer of the original."""
    poll = select.epoll()
    poll.close()

    def program():
        return os.read.__name__, isinstance(poll, select.epoll), repr(os.read)

    assert simulate(program).value == ("read", True, repr(os.read))


def test_the_hook_is_added_once():
    """However many simulations there are."""
    for _ in range(3):
        simulate(int)
    audit.install()
    assert len(audit._installed) == 1


class Prompt(pdb.Pdb):
    """A debugger whose user types one thing."""

    def cmdloop(self, intro=None):
        answers.append(input())
        self.set_continue()


answers = []


def test_a_debugger_may_ask(monkeypatch):
    """What a debugger does at its prompt is not the program's."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("next\n"))
    answers.clear()

    def program():
        Prompt(nosigint=True).set_trace()
        return "went on"

    tracing = sys.gettrace()
    try:
        assert simulate(program).result() == "went on"
    finally:
        sys.settrace(tracing)
    assert answers == ["next"]
    assert isinstance(simulate(input).error, EscapeError)


def test_every_row_has_something_to_stand_for():
    """Guards are put where there is something, so that all can be taken away again."""
    rows = escapes.replacements()
    assert rows
    assert len({(id(owner), name) for owner, name, _ in rows}) == len(rows)
    assert [name for owner, name, _ in rows if not hasattr(owner, name)] == []
