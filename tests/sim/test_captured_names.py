"""Names captured and objects made before a simulation are simulated in it, and as they were afterwards."""

import datetime as dt
import json
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from time import monotonic, sleep

import pytest

from routilux_sim import EscapeError, explore, simulate
from tests.sim import captured_program
from tests.sim.captured_program import program

EXPECTED = {
    "slept": 5.0,
    "excluded": [2.0] * 8,
    "waking": ["simple", "queue", True, True, 5.0],
    "locals": [(False, ["a", "b"]), (False, ["a", "b"]), ("main", ["a", "b"])],
    "subclasses": ["Started", "put", 2.0],
    "times": True,
    "idents": True,
}


def expected_of(value):
    return {key: value[key] for key in EXPECTED}


def test_a_script_that_captured_everything_is_simulated():
    """Without pytest nothing is made ready beforehand: what was captured is found, swapped and put back."""
    ran = subprocess.run(
        [sys.executable, captured_program.__file__],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert expected_of(told["value"]) == json.loads(json.dumps(EXPECTED))
    assert (told["same"], told["verdict"], told["put_back"]) == (True, "passed", True)


def test_under_pytest_it_is_the_same():
    """The plugin has made locks and clocks ready before this module was loaded."""
    execution = simulate(program, seed=1)
    assert expected_of(execution.result()) == EXPECTED
    assert explore(program, schedules=100).verdict == "passed"


AWAITED_BEFORE = """
import asyncio, gc, resource, threading
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
from routilux_sim import simulate

async def wait():
    futures = [asyncio.get_running_loop().create_future() for _ in range(20)]
    tasks = [asyncio.ensure_future(asyncio.wait_for(future, None)) for future in futures]
    await asyncio.sleep(0)
    for future in futures:
        future.set_result(None)
    await asyncio.gather(*tasks)

for _ in range(3):
    asyncio.run(wait())
    assert simulate(threading.Lock).error is None
    gc.collect()
"""


def test_what_the_interpreter_keeps_for_reuse_is_not_freed_again():
    """A process that has awaited futures in reality can be searched: CPython 3.12 hands out freed ones when asked."""
    ran = subprocess.run(
        [sys.executable, "-c", AWAITED_BEFORE], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


MANY_CAMPAIGNS = """
import gc, threading
from routilux_sim import simulate
from routilux_sim.world import install

def young():
    return [threading.Lock for _ in range(50)]

gc.disable()
kept = [young() for _ in range(50)]
swaps = []
for _ in range(4):
    assert simulate(threading.Lock).error is None
    swaps.append(len(install._captured._swaps) + len(install._captured._passing))
print(*swaps)
"""


def test_a_campaign_does_not_keep_what_the_next_one_finds_again():
    """Without pytest, references in young objects are found each time: four campaigns do not hold four of each."""
    ran = subprocess.run(
        [sys.executable, "-c", MANY_CAMPAIGNS], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    first, *later = map(int, ran.stdout.split())
    assert first >= 2500
    assert later == [first] * 3


def test_chance_is_seeded_also_for_captured_names():
    """The same seed gives the same bytes, numbers and identifiers; another seed gives others."""
    first, again, other = (simulate(captured_program.chance, seed=seed).result() for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other)


def everything():
    kept = [vars(module) for name, module in sorted(sys.modules.items()) if name.split(".")[0] in LOOKED_AT]
    kept += [vars(kind) for kind in (threading.Thread, threading.Condition, threading.Event, dt.datetime)]
    return [{name: value for name, value in names.items() if not name.startswith("__")} for names in kept]


LOOKED_AT = {"threading", "time", "queue", "_queue", "_thread", "random", "os", "uuid", "datetime", "tests", "logging"}


@pytest.mark.parametrize("ending", ["return", "error", "exit", "deadlock", "escape"])
def test_everything_is_put_back(ending):
    """Whatever the end: modules, classes and captured names are what they were, by identity."""
    simulate(lambda: None)

    def body():
        sleep(1)
        if ending == "error":
            raise LookupError
        if ending == "exit":
            sys.exit(3)
        if ending == "deadlock":
            threading.Lock().acquire() and threading.Event().wait()
        if ending == "escape":
            subprocess.Popen(["true"])

    before = everything()
    simulate(body)
    after = everything()
    assert [list(names) for names in after] == [list(names) for names in before]
    assert all(new[key] is old[key] for new, old in zip(after, before, strict=True) for key in old)


def test_everything_is_put_back_after_ctrl_c():
    """Also when the simulation is interrupted."""
    simulate(lambda: None)
    before = everything()

    def body():
        signal.raise_signal(signal.SIGINT)
        while True:
            sleep(1)

    with pytest.raises(KeyboardInterrupt):
        simulate(body)
    after = everything()
    assert all(new[key] is old[key] for new, old in zip(after, before, strict=True) for key in old)


def test_a_lock_that_is_held_outside_is_held_inside():
    """Who waits for it waits for ever: nobody inside can release it but by doing so."""
    lock = threading.Lock()
    with lock:
        assert simulate(lambda: lock.acquire(timeout=3), seed=1).result() is False
        assert simulate(lambda: (lock.acquire(timeout=3), monotonic())).result() == (False, 3.0)
        assert simulate(lock.acquire).kind == "deadlock"
    assert not lock.locked()


def test_a_reentrant_lock_of_the_callers_is_the_programs():
    """What the calling thread has taken, the program's own task has, as often; other tasks wait."""
    lock = threading.RLock()

    def body():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(lock.acquire(timeout=1)))
        thread.start()
        thread.join()
        lock.release()
        lock.release()
        return seen

    with lock, lock:
        assert simulate(body).result() == [False]
    with pytest.raises(RuntimeError):
        lock.release()


def test_a_real_thread_that_waits_in_it_is_an_escape():
    """A simulation cannot wake a real thread, and says so instead of calling it a deadlock."""
    event, begun = threading.Event(), threading.Event()
    beside = threading.Thread(target=lambda: (begun.set(), event.wait()))
    beside.start()
    begun.wait()
    while not event._cond._waiters:
        pass
    execution = simulate(event.set)
    event._flag = False
    event.set()
    beside.join()
    assert isinstance(execution.error, EscapeError)
    assert "a real thread waits" in str(execution.error)


def test_modules_that_come_later_are_found():
    """A module that is imported between two simulations, and what it captured, is simulated in the second."""
    simulate(lambda: None)
    module = types.ModuleType("came_later")
    sys.modules["came_later"] = module
    try:
        exec(
            "from datetime import datetime\nfrom os import urandom\ndef today(d=datetime): return d.now()", vars(module)
        )
        assert simulate(lambda: module.today().year).result() == 2026
        assert (
            simulate(lambda: module.urandom(3), seed=5).result() == simulate(lambda: module.urandom(3), seed=5).result()
        )
    finally:
        del sys.modules["came_later"]


def test_modules_that_come_and_go_are_found_each_time():
    """Also where one takes the place in memory of one that is gone."""
    simulate(lambda: None)
    for _ in range(30):
        sys.modules["passing"] = types.ModuleType("passing")
        try:
            exec("from datetime import datetime\ndef look(): return datetime.now().year", vars(sys.modules["passing"]))
            assert simulate(sys.modules["passing"].look, epoch=2e9).value == 2033
        finally:
            del sys.modules["passing"]


def test_an_import_inside_waits_for_the_task_that_imports(tmp_path, monkeypatch):
    """A module that is being imported by one thread is finished before another sees it, under every schedule."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(1)\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def body():
        sys.modules.pop("slow_to_import", None)
        seen = []

        def take():
            import slow_to_import  # noqa: PLC0415 - that is the test

            seen.append(slow_to_import.value)

        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [1, 1, 1]
        assert monotonic() == 1.0

    explore(body, schedules=200).raise_if_failed()


def test_local_time_follows_the_virtual_clock():
    """``localtime``, ``gmtime``, ``ctime`` and ``strftime`` without an argument read the virtual wall clock."""

    def body():
        sleep(86_400)
        at = time.gmtime()
        assert (at.tm_year, at.tm_mon, at.tm_mday) == (2026, 1, 2)
        assert time.mktime(time.localtime()) == time.time()
        assert time.ctime() == time.ctime(time.time())
        assert time.strftime("%H:%M") == time.strftime("%H:%M", time.localtime())
        assert time.process_time() == time.thread_time() == 0
        assert time.clock_gettime(time.CLOCK_MONOTONIC) == time.monotonic() == 86_400

    simulate(body).result()


@pytest.mark.parametrize("bad", [-1, float("nan"), 1e12, "1", None])
def test_a_bad_sleep_says_what_cpython_says(bad):
    """The same exception, in the same words."""
    told = []
    for call in (lambda: simulate(lambda: time.sleep(bad)).result(), lambda: sleep(bad)):
        with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
            call()
        told.append((raised.type, str(raised.value)))
    assert told[0] == told[1]


def test_a_module_that_is_imported_inside_is_as_if_imported_outside(tmp_path, monkeypatch):
    """What it captured is simulated while the simulation lasts, and the real thing afterwards."""
    (tmp_path / "imported_inside.py").write_text(
        "from datetime import date, datetime\nfrom os import urandom\nfrom threading import get_ident\n"
        "by_type = {datetime: 'datetime', date: 'date'}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def body():
        import imported_inside  # noqa: PLC0415 - that is the test

        now = imported_inside.datetime.now()
        return now.year, imported_inside.by_type[type(now)], imported_inside.by_type[type(now.date())]

    try:
        assert simulate(body).result() == (2026, "datetime", "date")
        assert simulate(body).result() == (2026, "datetime", "date")
        module = sys.modules["imported_inside"]
        assert module.datetime is dt.datetime
        assert module.date is dt.date
        assert module.urandom is captured_program.urandom
        assert module.by_type[dt.datetime] == "datetime"
    finally:
        sys.modules.pop("imported_inside", None)
