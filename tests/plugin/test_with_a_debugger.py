"""``breakpoint()`` in a simulated task, and ``pytest --pdb`` after one has failed."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

STEPPED = """
    import sys, threading, time
    import pytest

    def other():
        for _ in range(100):
            time.sleep(0.1)
            assert sys.gettrace() is None

    def work(out):
        before = "noon"
        breakpoint()
        time.sleep(3600)
        after = "one o'clock"
        out.append(after)
        last = "this line"

    @pytest.mark.sim
    def test_it():
        out = []
        threads = [threading.Thread(target=other), threading.Thread(target=work, args=(out,))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sys.gettrace() is None
        assert out == ["one o'clock"] and time.monotonic() == 3600
"""

FAILING = """
    import threading, time
    import pytest

    def work():
        local = "seen afterwards"
        time.sleep(3600)
        raise ValueError("broken on purpose")

    @pytest.mark.sim
    def test_it():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
"""


def debug(pytester, code: str, commands: list[str], *arguments: str) -> str:
    """Run a test with ``commands`` on its standard input."""
    (pytester.path / "test_debugged.py").write_text(textwrap.dedent(code))
    completed = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--sim-seed=7",
            *arguments,
            "test_debugged.py",
        ],
        cwd=pytester.path,
        input="".join(f"{command}\n" for command in commands),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return completed.stdout


def test_a_breakpoint_in_a_task_steps_over_scheduling_points(pytester):
    """An hour passes in one step, the debugger stays in its task, and what it does there is the task's."""
    steps = ["next"] * (4 if sys.version_info >= (3, 13) else 3)
    commands = [*steps, "p before, after", "where", "import threading", "p threading.current_thread().name"]
    output = debug(pytester, STEPPED, [*commands, "import time", "p 'at', time.monotonic()", "continue"], "-s")
    assert "('noon', \"one o'clock\")" in output
    assert '-> last = "this line"' in output
    assert "work()\n" in output
    assert "'Thread-2 (work)'" in output
    assert "('at', 3600.0)" in output
    assert "1 passed" in output


@pytest.mark.parametrize("schedules", [1, 10])
def test_leaving_the_debugger_ends_the_run(pytester, schedules):
    """``quit`` at a breakpoint in a task is pytest's to handle: nothing is tried again."""
    code = STEPPED.replace("mark.sim", f"mark.sim(schedules={schedules})")
    output = debug(pytester, code, ["quit", "continue"], "-s")
    assert "Exit: Quitting debugger" in output
    assert output.count("PDB set_trace") == 1
    assert "1 passed" not in output


def test_post_mortem_shows_the_task_that_failed(pytester):
    """After a failure in a task, ``--pdb`` stands in its frame, with its variables."""
    output = debug(pytester, FAILING, ["p local", "where", "continue"], "--pdb")
    assert "'seen afterwards'" in output
    assert "broken on purpose" in output
    assert "test_debugged.py(8)work()" in output or "test_debugged.py(9)work()" in output
    assert "1 failed" in output
