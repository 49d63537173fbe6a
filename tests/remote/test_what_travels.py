"""What goes to a worker and comes back, what does not, and what is said then."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import ErrorHandler, Flow, HandlerArgumentError, JobState, Routine, UnknownNameError
from routilux.exceptions import CannotTravelError, NotHereError, QueueFullError, RestoredError
from routilux.remote.parcel import links_of, pack, restore_state, state_of, unpack
from routilux.schedulers.futures import FuturesScheduler
from tests.remote import away
from tests.remote.programs import chain, configured, finish
from tests.remote.routines import Step


class Inline:
    """An executor that runs what it is given at once: all of the way there and back, and no process."""

    def submit(self, function, *args):
        return Done(function(*args))


class Done:
    """A future that has been done from the beginning."""

    def __init__(self, value):
        self.value = value

    def result(self):
        return self.value

    def exception(self):
        return None

    def cancelled(self):
        return False

    def cancel(self):
        return False

    def add_done_callback(self, callback):
        callback(self)


def run(routine, **params):
    """Run one activation of a routine by way of an executor; return its job."""
    with Flow(execution_strategy="concurrent", scheduler=FuturesScheduler(Inline())) as flow:
        flow.add_routine(routine, "it")
        job = flow.execute("it", params)
        assert JobState.wait_for_completion(flow, job, timeout=10)
    return job


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shared data", "'get_shared_data' of job"),
        ("status", "'status' of job"),
        ("flow", "'execute' of flow"),
    ],
)
def test_what_only_the_driver_has_is_refused_by_name(what, message):
    """NotHereError says what was asked for, of what, by which routine, and what to do."""
    job = run(away.Asking(), what=what)
    assert isinstance(job.error, NotHereError)
    assert message in str(job.error)
    assert "'it'" in str(job.error)
    assert "runs_in_driver" in str(job.error)


def test_ids_are_known_there():
    """A handler may ask which flow, job and routine it belongs to."""
    job = run(away.Asking(), what="ids")
    assert job.output_log[0]["data"] == {"flow": job.flow_id, "job": job.job_id, "routine": "it"}


@pytest.mark.parametrize("how", ["attribute", "new attribute", "configuration"])
def test_a_routine_that_changes_although_it_says_it_does_not_fails(how):
    """Nothing would come of the change: that is said, with the attribute's name, and the routine stays as it was."""
    routine = away.Forgetful()
    job = run(routine, how=how)
    if how == "configuration":
        # In place, which nobody can see without comparing everything: it is lost.
        assert job.status == "completed"
        assert routine.config() == {}
        return
    assert isinstance(job.error, NotHereError)
    assert "'count'" in str(job.error) or "'more'" in str(job.error)
    assert routine.count == 0


@pytest.mark.parametrize(
    ("how", "place"), [("emit", "routine 'it', event 'out', 'value'"), ("keep", "routine 'it', attribute 'kept'")]
)
def test_what_a_handler_makes_must_travel_back(how, place):
    """CannotTravelError names the routine and what it is; the routine in the driver stays as it was."""
    routine = away.Emitting()
    job = run(routine, how=how)
    assert isinstance(job.error, CannotTravelError)
    assert job.error.place == place
    assert routine.kept is None


def test_an_exception_that_cannot_travel_arrives_in_words():
    """As RestoredError: its class, its message and where it was raised."""
    job = run(away.Emitting(), how="raise")
    assert isinstance(job.error, RestoredError)
    assert job.error.kind == "OddError"
    assert "in work" in job.error.traceback


def test_an_unknown_event_is_the_handlers_error():
    """As on threads, and of the same kind."""
    job = run(away.Emitting(), how="unknown event")
    assert isinstance(job.error, UnknownNameError)
    assert job.error.allowed == ["out"]


def test_what_a_handler_is_given_must_travel():
    """An entry parameter that cannot be pickled fails the job, by name."""
    job = run(away.Asking(), what=(each for each in ()))
    assert isinstance(job.error, CannotTravelError)
    assert job.error.place == "routine 'it', given, 'what'"


def test_arguments_that_do_not_fit_are_the_same_error():
    """HandlerArgumentError arrives as itself, although its constructor takes other arguments than it has kept."""
    job = run(away.Choosy(), one=1)
    assert isinstance(job.error, HandlerArgumentError)
    assert job.error.missing == ["two"]


def test_a_routine_keeps_its_own_things():
    """Slots, events, methods, locks and itself are its own on the other side, and in the driver afterwards."""
    routine = away.Furnished()
    lock = routine.lock
    job = run(routine, turn=2)
    assert job.error is None
    assert list(routine.queue) == [1, 2]
    assert not hasattr(routine, "temporary")
    assert routine.fresh == 2
    assert routine.get_config("turns") == 2
    assert routine.entry is routine.get_slot("trigger")
    assert routine.nested["me"] is routine
    assert type(routine.lock) is type(lock)
    assert run(routine, turn=3).error is None
    assert list(routine.queue) == [1, 2, 3]


def test_a_class_may_say_what_of_it_travels():
    """``__getstate__`` and ``__setstate__`` are asked on both sides; what they leave out stays where it is."""
    routine = away.Pickling()
    mine = routine.connection
    for n in (1, 2):
        assert run(routine, n=n).error is None
    assert routine.total == 3
    assert routine.connection is mine


def test_a_function_of_a_module_may_be_a_handler():
    """It is looked up by its name."""
    routine = Routine()
    routine.define_slot("trigger", handler=away.add_one)
    assert run(routine, n=1).error is None


def test_a_lambda_may_not_unless_its_code_travels():
    """CannotTravelError names the slot and what to do; ``by_value`` sends the code along."""
    routine = Routine()
    routine.define_slot("trigger", handler=lambda n: None)
    job = run(routine, n=1)
    assert isinstance(job.error, CannotTravelError)
    assert job.error.place == "routine 'it', handler of slot 'trigger'"
    assert "top level of a module" in str(job.error)


@pytest.mark.dask
def test_code_travels_by_value():
    """A lambda, and a class that no worker can import, on a pool of processes."""

    class Local(Step):
        def work(self, n):
            self.finish(n * 10)

    pool = partial(ProcessPoolExecutor, 1, mp_context=get_context("forkserver"))
    with FuturesScheduler(pool, by_value=True) as scheduler, chain(scheduler, Local()) as flow:
        job = flow.execute("source", {"n": 2})
        finish(flow, job)
    assert job.error is None
    assert [entry["n"] for entry in job.get_shared_log()] == [0, 10]


def test_sending_code_along_needs_cloudpickle(monkeypatch):
    """Where it is not installed, that is said at once, with what to install."""
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ImportError, match="pip install cloudpickle"):
        FuturesScheduler(Inline(), by_value=True)


def test_a_full_queue_is_met_with_at_home():
    """What a handler emits too much of fails it with QueueFullError when it comes home, which may be tried again."""
    flow = Flow(execution_strategy="concurrent", max_pending=1, scheduler=FuturesScheduler(Inline()))
    with flow:
        flow.add_routine(Many(), "it")
        for name in ("one", "two"):
            flow.add_routine(Step(), name)
            flow.connect("it", "out", name, "in")
        job = flow.execute("it")
        assert JobState.wait_for_completion(flow, job, timeout=10)
    assert isinstance(job.error, QueueFullError)


class Many(Routine):
    """Emits for two slots at once."""

    stateless = True

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.define_event("out", ["n"])

    def work(self):
        self.emit("out", n=1)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.frozensets(st.text())
    ),
    max_leaves=10,
)


@given(state=st.dictionaries(st.text(min_size=1), plain), config=st.dictionaries(st.text(min_size=1), plain))
def test_state_comes_back_as_it_was(state, config):
    """Law: restoring what was packed of one routine makes another one its equal, whatever that had before."""
    state = {name: value for name, value in state.items() if not name.startswith("_")}
    one, other = Step(), Step()
    vars(one).update(state)
    one.set_config(**config)
    other.leftover = 1
    restore_state(other, unpack(pack(state_of(one), one), other))
    assert (other.config(), state_of(other)) == (one.config(), state_of(one))
    assert not hasattr(other, "leftover")
    assert links_of(other) == links_of(one)


def test_check_names_everything_that_cannot_travel():
    """Before anything runs: class, handler, attribute and configuration, each by name; shared objects; locks."""
    shared = {}
    flow = Flow()

    class Local(Step):
        pass

    bad = Step()
    bad.define_slot("trigger", handler=lambda: None)
    bad.set_config(callback=lambda: None)
    bad.file = iter([]).__next__
    bad.generator = (each for each in ())
    bad.lock = threading.Lock()
    bad.shared = shared
    other = Step()
    other.shared = shared
    home = configured(Homely(), callback=lambda: None)
    for name, routine in (("bad", bad), ("other", other), ("local", Local()), ("home", home)):
        flow.add_routine(routine, name)
    found = [finding for finding in flow.check(distributed=True) if finding.kind not in {"unreachable", "unfed-slot"}]
    said = {(finding.level, finding.kind, finding.routine_id): finding.message for finding in found}
    errors = [finding.message for finding in found if finding.level == "error"]
    assert len(errors) == 4
    assert any("handler of slot 'trigger'" in each for each in errors)
    assert any("config 'callback'" in each for each in errors)
    assert any("attribute 'generator'" in each for each in errors)
    assert any("routine 'local', its class" in each for each in errors)
    assert "'shared'" in said["warning", "shared-object", "other"]
    assert "'lock'" in said["note", "own-lock", "bad"]
    assert [finding for finding in flow.check() if finding.kind == "cannot-travel"] == []


def test_check_names_routines_that_know_each_other():
    """What a worker has of another routine is a copy that is part of no flow; that one is itself is no matter."""
    one, other = Step(), Step()
    one.peer, one.me = other, one
    flow = Flow()
    flow.add_routine(one, "one")
    flow.add_routine(other, "other")
    found = [finding for finding in flow.check(distributed=True) if finding.kind == "shared-object"]
    assert [finding.level for finding in found] == ["warning"]
    assert "attribute 'peer' of routine 'one' is the flow's routine 'other'" in found[0].message


class Homely(Step):
    """Stays in the driver, so that nothing of it must travel."""

    runs_in_driver = True


def test_the_errors_strategy_hears_of_what_cannot_travel():
    """CONTINUE goes on without it."""
    with Flow(execution_strategy="concurrent", scheduler=FuturesScheduler(Inline())) as flow:
        flow.add_routine(away.Emitting(), "it")
        flow.set_error_handler(ErrorHandler("continue"))
        job = flow.execute("it", {"how": "emit"})
        assert JobState.wait_for_completion(flow, job, timeout=10)
    assert job.status == "completed"
    assert job.get_routine_state("it")["status"] == "error_continued"
