"""Workers that die in the midst of an activation, for real: nothing is lost, and RETRY counts it."""

from __future__ import annotations

import pytest

from routilux import ErrorHandler, Flow
from routilux.exceptions import WorkerLostError
from routilux.schedulers.futures import FuturesScheduler
from tests.remote.programs import chain, configured, finish, noted
from tests.remote.routines import Killer, Step


def killing(scheduler, folder, fatal, **options):
    """A flow whose second step kills its worker at some numbers."""
    return chain(scheduler, Step(), configured(Killer(), folder=str(folder), fatal=fatal), **options)


def tries(folder):
    """How many times each activation was begun, by its id."""
    return {path.name: len(path.read_text()) for path in folder.iterdir()}


def test_a_worker_killed_in_the_midst_of_an_activation_loses_nothing(tmp_path):
    """SIGKILL: each activation is delivered once, in the end; attempts say how often it was begun."""
    with FuturesScheduler.processes(2) as scheduler, killing(scheduler, tmp_path, [2, 5]) as flow:
        job = flow.execute("source", {"n": 8})
        finish(flow, job)
    assert (job.status, job.error) == ("completed", None)
    assert sorted(noted(job, "s1")) == list(range(8))
    rows = [row for row in job.execution_history if row.kind == "activation"]
    lost = [row for row in rows if row.event_name == "lost"]
    assert len(lost) >= 2
    assert all("WorkerLostError" in row.data["error"] for row in lost)
    assert len([row for row in rows if row.event_name == "completed"]) == 1 + 8 + 8
    begun = tries(tmp_path)
    assert len(begun) == 8
    assert sum(begun.values()) >= 10
    assert job.get_routine_state("s1")["status"] == "completed"


def test_without_retry_a_lost_worker_fails_its_job_and_the_next_one_runs(tmp_path):
    """STOP: the job's error names the activation; the pool is made again for the others."""
    with FuturesScheduler.processes(1) as scheduler, killing(scheduler, tmp_path, [1]) as flow:
        flow.set_error_handler(ErrorHandler("stop"))
        job = flow.execute("source", {"n": 2})
        finish(flow, job)
        assert job.status == "failed"
        assert isinstance(job.error, WorkerLostError)
        assert job.error.activation_id.startswith(job.job_id)
        assert "ErrorHandler('retry')" in str(job.error)
        again = flow.execute("source", {"n": 1})
        finish(flow, again)
        assert again.status == "completed"


def test_retries_of_lost_workers_are_counted(tmp_path):
    """A handler that always kills its worker uses up its retries, and fails the job with that."""
    with FuturesScheduler.processes(1) as scheduler:
        flow = chain(scheduler, Always())
        flow.set_error_handler(ErrorHandler("retry", max_retries=2, retry_delay=0.001, retryable_exceptions=KeyError))
        with flow:
            job = flow.execute("source", {"n": 1})
            finish(flow, job)
    assert job.status == "failed"
    assert isinstance(job.error, WorkerLostError)
    ends = [row.event_name for row in job.get_execution_history("s0") if row.kind == "activation"]
    assert ends == ["lost", "lost", "failed"]


class Always(Killer):
    """Kills whatever runs it."""

    def work(self, n):
        import os  # noqa: PLC0415 - in the worker
        import signal  # noqa: PLC0415 - likewise

        os.kill(os.getpid(), signal.SIGKILL)


def test_a_broken_executor_that_nobody_can_make_again_is_an_error(tmp_path):
    """Given as an object, it stays broken: what is sent to it fails, with what the executor says."""
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor  # noqa: PLC0415 - for this test alone
    from multiprocessing import get_context  # noqa: PLC0415 - likewise

    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        flow = chain(FuturesScheduler(pool), Always())
        flow.set_error_handler(ErrorHandler("stop"))
        with flow:
            job = flow.execute("source", {"n": 1})
            finish(flow, job)
            assert isinstance(job.error, WorkerLostError)
            again = flow.execute("source", {"n": 1})
            finish(flow, again)
            assert isinstance(again.error, BrokenExecutor)


def test_a_scheduler_that_was_shut_down_says_so():
    """What is sent to it fails the job with a RuntimeError that says what to do."""
    scheduler = FuturesScheduler.processes(1)
    scheduler.shutdown()
    with chain(scheduler, Step()) as flow:
        job = flow.execute("source", {"n": 1})
        finish(flow, job)
    assert job.status == "failed"
    assert "make a new one" in str(job.error)


def test_what_is_no_executor_is_refused():
    """An object without ``submit`` that cannot be called either."""
    with pytest.raises(TypeError, match="submit"):
        FuturesScheduler(3)  # type: ignore[arg-type]


def test_a_flow_that_is_dropped_leaks_no_thread():
    """Neither its clerk nor anything else of it is alive a moment after the last reference has gone."""
    import gc  # noqa: PLC0415 - for this test alone
    import threading  # noqa: PLC0415 - likewise
    import time  # noqa: PLC0415 - likewise

    with FuturesScheduler.processes(1) as scheduler:
        flow: Flow | None = chain(scheduler, Step(), flow_id="dropped")
        job = flow.execute("source", {"n": 1})
        finish(flow, job)
        flow = job = None
        gc.collect()
        for _ in range(200):
            left = [thread.name for thread in threading.enumerate() if thread.name.startswith("dropped")]
            if not left:
                return
            time.sleep(0.01)
        raise AssertionError(left)
