"""APScheduler's background scheduler, with its thread and its pool of workers, over simulated hours and days."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler

from tests.libraries.claims import at_once, breaks, exact, holds

# A skipped execution is logged as a warning, a failed one as an error.
pytestmark = pytest.mark.filterwarnings("error")


def scheduler(**options):
    return BackgroundScheduler(timezone="UTC", **options)


def now():
    return datetime.now(UTC)


class Times:
    """A job that notes when it ran, and takes some time."""

    def __init__(self, duration=0.0):
        self.duration = duration
        self.noted = []

    def __call__(self):
        self.noted.append(time.monotonic())
        time.sleep(self.duration)


def test_an_interval_is_exact():
    """Every ten minutes of six hours, to the second."""

    def program():
        times = Times()
        plan = scheduler()
        plan.add_job(times, "interval", minutes=10)
        plan.start()
        time.sleep(6 * 3600 + 1)
        plan.shutdown()
        return times.noted

    assert exact(program, schedules=10) == [600.0 * n for n in range(1, 37)]


def test_a_cron_job_runs_at_its_hours():
    """On working days at half past nine; the simulated year begins on a Thursday."""

    def program():
        said = []
        plan = scheduler()
        plan.add_job(lambda: said.append(f"{now():%a %H:%M:%S}"), "cron", day_of_week="mon-fri", hour=9, minute=30)
        plan.start()
        time.sleep(5 * 86_400)
        plan.shutdown()
        return said

    assert exact(program, schedules=10) == ["Thu 09:30:00", "Fri 09:30:00", "Mon 09:30:00"]


def test_a_date_job_runs_once():
    """And is gone then."""

    def program():
        times = Times()
        plan = scheduler()
        plan.start()
        plan.add_job(times, "date", run_date=now() + timedelta(hours=3))
        time.sleep(86_400)
        left = plan.get_jobs()
        plan.shutdown()
        return times.noted, left

    assert exact(program) == ([10_800.0], [])


def test_a_job_that_is_still_running_is_not_run_again():
    """One that takes 25 seconds, every 10: two of three executions are skipped, and said to be."""

    def program():
        times, skipped = Times(25), []
        plan = scheduler()
        plan.add_listener(lambda event: skipped.append(time.monotonic()), EVENT_JOB_MAX_INSTANCES)
        plan.add_job(times, "interval", seconds=10)
        plan.start()
        time.sleep(75)
        plan.shutdown()
        return times.noted, skipped

    assert exact(program) == ([10.0, 40.0, 70.0], [20.0, 30.0, 50.0, 60.0])


@pytest.mark.parametrize(("coalesce", "runs"), [(True, 1), (False, 3)])
def test_missed_runs_are_made_up_for(coalesce, runs):
    """After a pause of half a minute: once, or as often as were missed."""

    def program():
        times, missed = Times(), []
        plan = scheduler(job_defaults={"coalesce": coalesce, "misfire_grace_time": 60})
        plan.add_listener(lambda event: missed.append(1), EVENT_JOB_MISSED)
        plan.start()
        plan.pause()
        plan.add_job(times, "interval", seconds=10)
        time.sleep(35)
        plan.resume()
        time.sleep(4)
        plan.shutdown()
        return times.noted, missed

    assert exact(program) == ([35.0] * runs, [])


def test_every_job_runs_as_often_as_it_is_due():
    """Four jobs at the same instants, on two workers: none is lost, none runs twice."""

    def program():
        jobs = [Times(0.5) for _ in range(4)]
        plan = scheduler(executors={"default": {"type": "threadpool", "max_workers": 2}})
        for job in jobs:
            plan.add_job(job, "interval", seconds=10)
        plan.start()
        time.sleep(35)
        plan.shutdown()
        assert [len(job.noted) for job in jobs] == [3] * 4

    holds(program, schedules=100)


def test_jobs_may_be_added_from_several_threads():
    """While it runs, each gets an id of its own and runs in its time."""

    def program():
        plan = scheduler()
        plan.start()
        times = Times()
        added = []
        add = lambda: added.append(plan.add_job(times, "interval", seconds=10).id)  # noqa: E731 - named by its use
        at_once(add, add, add)
        time.sleep(11)
        plan.shutdown()
        assert len(set(added)) == 3
        assert times.noted == [10.0] * 3

    holds(program)


def test_a_job_that_is_due_earlier_comes_first():
    """Whoever adds it, and however long the scheduler meant to sleep."""

    def program():
        plan, ran = scheduler(), []
        plan.start()

        def add(seconds):
            plan.add_job(lambda: ran.append(time.monotonic()), "date", run_date=now() + timedelta(seconds=seconds))

        add(100)
        at_once(lambda: add(10), lambda: add(5))
        time.sleep(200)
        plan.shutdown()
        return ran

    assert exact(program, schedules=300) == [5.0, 10.0, 100.0]


def test_a_job_runs_or_is_removed():
    """When it is removed in the very moment in which it is due: one of the two."""

    def program():
        times = Times()
        plan = scheduler()
        plan.start()
        job = plan.add_job(times, "date", run_date=now() + timedelta(seconds=1))
        time.sleep(1)
        try:
            job.remove()
            removed = True
        except JobLookupError:
            removed = False
        time.sleep(100)
        plan.shutdown()
        assert removed != bool(times.noted)

    holds(program)


def test_shutting_down_waits_for_what_runs():
    """And nothing runs afterwards; one of two that shut it down learns that it is too late."""

    def program():
        ended = []
        plan = scheduler()
        plan.add_job(lambda: (time.sleep(5), ended.append(time.monotonic())), "interval", seconds=10)
        plan.start()
        time.sleep(12)
        refused = []

        def stop():
            try:
                plan.shutdown()
            except SchedulerNotRunningError:
                refused.append(1)
            else:
                assert ended == [15.0]

        at_once(stop, stop)
        time.sleep(100)
        assert (ended, refused) == ([15.0], [1])

    holds(program)


def test_a_job_that_adds_a_job_while_the_scheduler_shuts_down_hangs_it():
    """`shutdown` waits for running jobs with the lock held that `add_job` needs."""

    def program():
        plan = scheduler()

        def job():
            time.sleep(1)
            plan.add_job(print, "interval", seconds=5)

        plan.add_job(job)
        plan.start()
        time.sleep(0.5)
        plan.shutdown()

    breaks(program, "deadlock", "each waits for the next")


def test_a_listener_that_looks_at_the_jobs_hangs_the_shutdown():
    """For the same reason: listeners are called in the worker that ran the job."""

    def program():
        plan = scheduler()
        plan.add_listener(lambda event: plan.get_jobs(), EVENT_JOB_EXECUTED)
        plan.add_job(Times(1))
        plan.start()
        time.sleep(0.5)
        plan.shutdown()

    breaks(program, "deadlock", "each waits for the next")


def test_the_schedulers_thread_may_die_while_it_is_shut_down():
    """A one-shot job has been handed to a worker; taking it off the list fails, as the scheduler counts as stopped."""

    def program():
        plan = scheduler()
        plan.start()
        plan.add_job(Times(), "date", run_date=now() + timedelta(seconds=1))
        time.sleep(1)
        plan.shutdown()

    breaks(program, "exception", "No job by the id of")


def test_a_one_shot_job_may_run_twice():
    """It stays in a store that outlives the scheduler, and the next scheduler runs it again."""

    class KeptJobStore(MemoryJobStore):
        def shutdown(self):
            pass

    def program():
        # What the scheduler's thread dies of, when it dies, is not what this is about.
        threading.excepthook = lambda said: None
        store, times = KeptJobStore(), Times()
        plan = scheduler(jobstores={"default": store})
        plan.start()
        plan.add_job(times, "date", run_date=now() + timedelta(seconds=1), misfire_grace_time=60)
        time.sleep(1)
        plan.shutdown()
        again = scheduler(jobstores={"default": store})
        again.start()
        time.sleep(10)
        again.shutdown()
        assert len(times.noted) <= 1, f"it ran at {times.noted}"

    breaks(program, "exception", "it ran at [1.0, 1.0]")


def test_a_scheduler_that_is_started_again_runs_nothing():
    """Its executor has been shut down with it, and refuses every job."""

    def program():
        times = Times()
        plan = scheduler()
        plan.start()
        plan.shutdown()
        plan.start()
        plan.add_job(times, "interval", seconds=10)
        time.sleep(35)
        plan.shutdown()
        return times.noted

    assert exact(program, schedules=10) == []
