"""The state machine and its laws find bugs: each of these is put into the engine on purpose, and must be found."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from routilux.engine import accounting, control, core, dispatch, journal, limits, merging, policy
from routilux.engine.accounting import HELD, Delayed
from routilux.engine.activation import EPOCH
from routilux.engine.dispatch import Dispatcher
from routilux.error_handler import ErrorStrategy
from routilux.job_state import JobState
from routilux_sim.given import own_constants
from tests.properties.laws import LawError
from tests.properties.model import Edge, Graph, Node, Op, Program
from tests.properties.test_flow_machine import FlowMachine, check

enough = settings(
    max_examples=400,
    stateful_step_count=12,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


class Simulated(FlowMachine):
    """The machine without real threads, which a broken engine might leave hanging."""

    real = False
    schedules = 4


BUGS = {}
PROGRAMS = {}


def bug(function):
    """Enter a function that breaks the engine."""
    BUGS[function.__name__] = function
    return function


def bug_in(program):
    """Enter one that is found in this program: few show it, or few schedules do."""

    def enter(function):
        PROGRAMS[function.__name__] = program
        return bug(function)

    return enter


@bug
def a_held_activation_is_dropped_on_resume(patch):
    real = control._reopen_locked

    def reopen(engine, account):
        if len(account.held) > 1:
            account.held.popitem()
        real(engine, account)

    patch.setattr(control, "_reopen_locked", reopen)


@bug
def what_is_held_keeps_its_ticket(patch):
    """Workers that still have it in their queue, and those that get it anew, may each take it for theirs."""

    def run(item):
        item[2].queued.setdefault(item[0], item)
        real(item)

    real = dispatch.run
    patch.setattr(dispatch, "renewed", lambda item, attempts=0: (*item[:5], item[5] + attempts))
    patch.setattr(core, "run", run)


@bug
def a_delayed_retry_is_forgotten_at_pause(patch):
    real = control._hold_locked

    def hold(engine, account):
        real(engine, account)
        account.delayed.clear()

    patch.setattr(control, "_hold_locked", hold)


@bug
def delayed_retries_are_not_timed_again(patch):
    patch.setattr(Dispatcher, "time_again_locked", lambda self, account: None)


@bug
def an_emit_does_not_look_at_the_gate(patch):
    """While a job is held, what it emits goes to the workers."""
    patch.setattr(Dispatcher, "_turned_away", lambda self, account, items: account.lane.submit(items))


@bug
def pause_does_not_wait(patch):
    patch.setattr(control, "wait_for_rest", lambda engine, account: None)


@bug
def a_failed_job_drops_without_a_record(patch):
    def drop(self, account, doomed):
        for ticket in doomed:
            account.dropping.pop(ticket, None)
        self.after_end(account)

    patch.setattr(Dispatcher, "_drop", drop)


@bug
def history_skips_what_is_not_plain(patch):
    class Mute:
        """A journal that sums up and writes nothing down."""

        def __init__(self, real):
            self._real = real

        def __getattr__(self, name):
            return getattr(self._real, name)

        def write(self, row):
            pass

    def settle(self, item, status, error, began):
        account = item[2]
        kept = account.journal
        if not item[3].plain:
            account.journal = Mute(kept)
        real(self, item, status, error, began)
        account.journal = kept

    real = Dispatcher.settle
    patch.setattr(Dispatcher, "settle", settle)


@bug
def figures_forget_retries(patch):
    real = journal.Journal._sum_up_outcome

    def sum_up(self, routine_id, status):
        if status != "retry":
            real(self, routine_id, status)

    patch.setattr(journal.Journal, "_sum_up_outcome", sum_up)


@bug
def one_retry_too_many(patch):
    real = policy.decide
    patch.setattr(dispatch, "decide", lambda handler, error, attempt: real(handler, error, max(1, attempt - 1)))


@bug
def skip_counts_as_continue(patch):
    patch.setitem(policy._PLAIN, ErrorStrategy.SKIP, policy._PLAIN[ErrorStrategy.CONTINUE])


@bug
def merging_forgets_a_value(patch):
    real = merging.Gathered.merge

    def merge(self, strategy, new):
        if any(len(values) == 2 for values in self._value.values()):
            self._value.clear()
        return real(self, strategy, new)

    patch.setattr(merging.Gathered, "merge", merge)


@bug
def what_was_gathered_is_not_stored(patch):
    patch.setattr(accounting.JobAccount, "all_gathered", lambda self: {})


@bug
def a_renamed_name_keeps_its_value(patch):
    from routilux.engine.routing import Delivery  # noqa: PLC0415 - of one bug

    patch.setattr(Delivery, "_rename", lambda self, mapping: None)


@bug
def turns_are_not_taken(patch):
    patch.setattr(limits.Turnstile, "admit", lambda self, item: True)
    patch.setattr(limits.Turnstile, "hand_on", lambda self: None)


@bug
def a_turn_is_not_handed_on_when_its_owner_is_gone(patch):
    def end_turn(self, target):
        if target.limit is not None and (item := self._turnstile(target).hand_on()) is not None:
            with item[2].lock:
                if item[0] in item[2].queued:
                    item[2].lane.submit((item,))

    patch.setattr(Dispatcher, "end_turn", end_turn)


@bug
def the_last_look_misses_what_is_delayed(patch):
    real = accounting.JobAccount.drain_locked

    def drain(self):
        delayed, self.delayed = self.delayed, {}
        try:
            return real(self)
        finally:
            self.delayed = delayed

    patch.setattr(accounting.JobAccount, "drain_locked", drain)


@bug_in(
    Program(
        Graph((Node(fanout=(4, 0)),), (Edge(0, "a", 0, "trigger"),)),
        (
            Op("execute", 0, (0, 1, "concurrent")),
            Op("pause", 0),
            Op("together", args=(Op("cancel", 0), Op("resume", 0))),
            Op("wait", 0),
        ),
    )
)
def resume_overrules_cancel(patch):
    real = JobState.note_resume

    def resume(self, account):
        real_resume(self, account)
        if account.job.status == "cancelled":
            real(account.job)

    real_resume = core.Engine.resume
    patch.setattr(core.Engine, "resume", resume)


@bug
def deferred_events_are_emitted_and_kept(patch):
    patch.setattr(JobState, "forget_deferred_event", lambda self, event: None)


@bug_in(
    Program(
        Graph((Node(fanout=(4, 0)),), (Edge(0, "a", 0, "trigger"),)),
        (Op("execute", 0, (0, 1, "concurrent")), Op("snapshot")),
        workers=3,
    )
)
def a_late_worker_has_it_twice_in_a_document(patch):
    from routilux import job_document  # noqa: PLC0415 - of one bug

    def pending_of(account, *, with_running=False):
        tasks = real(account, with_running=with_running)
        stale = account.running.copy().values() if with_running else ()
        listed = [*account.held.values()]
        known = {item[0] % EPOCH for item in listed}
        return tasks + [job_document.pending_task(item, None) for item in stale if item[0] % EPOCH in known]

    real = job_document.pending_of
    patch.setattr(job_document, "pending_of", pending_of)


@bug
def retries_are_immediate_after_loading(patch):
    """What was delayed is entered as one that ran before: its attempt is counted again."""

    def put_back(self, account, item, seconds):
        again = (*item[:5], item[5] + 1)
        account.delayed[item[0]] = Delayed(again, self.clock(), None)

    patch.setattr(core.Engine, "put_back_delayed", put_back)


@bug
def shutdown_drops_what_is_held(patch):
    real = core.Engine.shutdown

    def shutdown(self, wait, timeout):
        done = real(self, wait, timeout)
        for account in self._live.values():
            if account.gate == HELD:
                account.held.clear()
        return done

    patch.setattr(core.Engine, "shutdown", shutdown)


def hunt(name):
    """Look for a bug with the machine, or in the program that shows it."""
    if name in PROGRAMS:
        check(PROGRAMS[name], schedules=1000, real=False)
    else:
        # What is found must not depend on which modules other tests have loaded.
        with own_constants(FlowMachine.__module__):
            run_state_machine_as_test(Simulated, settings=enough)


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_in_the_engine_is_found(name, monkeypatch):
    """A law breaks, or the program cannot go on."""
    with monkeypatch.context() as patch:
        BUGS[name](patch)
        with pytest.raises(Exception) as found:  # noqa: PT011 - which law breaks is for the machine to say
            hunt(name)
    assert isinstance(found.value, LawError) or type(found.value).__module__ != "builtins", found.value


def test_the_engine_itself_passes():
    """The same machine finds nothing in the engine as it is: what is found above are the bugs."""
    run_state_machine_as_test(Simulated, settings=settings(enough, max_examples=40))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_engine_itself_passes_the_programs_that_show_a_bug(name):
    """Nor do those programs break on their own."""
    hunt(name)
