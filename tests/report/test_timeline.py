"""The timeline of an execution."""

from itertools import pairwise
from typing import ClassVar

import pictured_programs
import pytest

from routilux_sim import gathering, picturing
from routilux_sim.exploration import explore
from routilux_sim.gathering import Gatherer
from routilux_sim.perfetto import trace_events
from routilux_sim.picturing import Picture, of_schedule, of_seed
from routilux_sim.report import render
from routilux_sim.simulation import simulate
from routilux_sim.timeline import parting

PROGRAMS = ["two_locks", "in_order", "lost_update", "conversation", "flow", "loops"]


def timelines(name, seeds):
    program = getattr(pictured_programs, name)
    for seed in range(seeds):
        yield of_seed(program, name, seed, nearest=False).timeline


@pytest.mark.parametrize("name", PROGRAMS)
def test_spans_fit_together(name):
    """Under many schedules: runs cover the steps, time never goes back, and nothing ends before it begins."""
    for timeline in timelines(name, 6):
        steps = timeline.steps
        assert [index for run in timeline.runs for index in range(run.first, run.last + 1)] == list(range(len(steps)))
        assert all(steps[index].task == run.task for run in timeline.runs for index in (run.first, run.last))
        assert [step.t_ns for step in steps] == sorted(step.t_ns for step in steps)
        assert [step.decisions for step in steps] == sorted(step.decisions for step in steps)
        for span in (*timeline.waits, *timeline.holds, *timeline.activities):
            assert span.last is None or span.first <= span.last < len(steps)
            assert span.last_ns is None or 0 <= span.first_ns <= span.last_ns <= timeline.elapsed_ns


@pytest.mark.parametrize("name", PROGRAMS)
def test_nobody_runs_while_it_waits(name):
    """Between the step by which a task stops and the one by which it goes on there is none of its own."""
    for timeline in timelines(name, 6):
        for wait in timeline.waits:
            ends = len(timeline.steps) if wait.last is None else wait.last
            assert all(timeline.steps[index].task != wait.task for index in range(wait.first + 1, ends))
            assert wait.last is None or timeline.steps[wait.last].task == wait.task


def happens_before(timeline, one, other):
    """Whether a chain of arrows and of steps of one task leads from one step to another."""
    todo, seen = [other], set()
    while todo:
        step = todo.pop()
        if step in seen or step < one:
            continue
        seen.add(step)
        if timeline.steps[step].task == timeline.steps[one].task:
            return True
        todo += [
            arrow.source
            for arrow in timeline.arrows
            if timeline.steps[arrow.target].task == timeline.steps[step].task and arrow.target <= step
        ]
    return False


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_lock_is_one_tasks_at_a_time_and_orders_them(name):
    """Under many schedules its holds do not overlap, and each happens before the next."""
    for timeline in timelines(name, 6):
        for lock in {hold.obj for hold in timeline.holds}:
            holds = sorted((hold for hold in timeline.holds if hold.obj == lock), key=lambda hold: hold.first)
            for before, after in pairwise(holds):
                assert before.last is not None
                assert before.last <= after.first
                assert happens_before(timeline, before.last, after.first)


@pytest.mark.parametrize("name", PROGRAMS)
def test_arrows_lead_forward_to_another_task_and_none_follows_from_the_others(name):
    """Each is news to the task that it leads to."""
    for timeline in timelines(name, 4):
        for arrow in timeline.arrows:
            assert arrow.source < arrow.target
            assert timeline.steps[arrow.source].task != timeline.steps[arrow.target].task
            others = timeline._replace(arrows=tuple(one for one in timeline.arrows if one is not arrow))
            # Of several at one step the latest are drawn first, and those before may follow from them only together.
            if sum(one.target == arrow.target for one in timeline.arrows) == 1:
                assert not happens_before(others, arrow.source, arrow.target)


class Clocked(Gatherer):
    """Notes with each step the judge's vector clock: the task's own count before it, and all that it knows after it."""

    made: ClassVar[list] = []

    def attend(self, kernel):
        super().attend(kernel)
        self.own, self.known, self.open = [], {}, {}
        self.made.append(self)

    def _add(self, task, op, obj):
        before = self.open.get(task.number)
        clock = dict(self.kernel.edges.clock(task))
        if before is not None:
            self.known[before] = clock
        self.open[task.number] = len(self.own)
        self.own.append(clock[task.number])
        return super()._add(task, op, obj)


@pytest.mark.parametrize("name", ["two_locks", "lost_update", "conversation", "loops"])
def test_arrows_tell_what_the_judge_of_races_goes_by(name, monkeypatch):
    """For any two steps of two tasks: there is a chain of arrows just if the vector clocks order them."""
    monkeypatch.setattr(picturing, "Gatherer", Clocked)
    for timeline in timelines(name, 3):
        clocks = Clocked.made.pop()
        for other, known in clocks.known.items():
            for one in range(other):
                task = timeline.steps[one].task
                if task != timeline.steps[other].task:
                    assert happens_before(timeline, one, other) == (known.get(task, 0) >= clocks.own[one])


def test_two_writes_that_race_are_not_ordered():
    """Neither leads to the other; the reading after both have been joined follows both."""
    timeline = next(one for one in timelines("lost_update", 30) if one.verdict == "passed")
    one, other = [
        index
        for index, step in enumerate(timeline.steps)
        if step.op == "write" and step.task > 1 and step.called == "Tally.value"
    ]
    last = max(index for index, step in enumerate(timeline.steps) if step.op == "read")
    assert not happens_before(timeline, one, other)
    assert happens_before(timeline, one, last)
    assert happens_before(timeline, other, last)


def test_a_deadlock_shows_who_has_what_and_waits_for_what():
    """By the names that the program has for its locks; also of a task that lost a race for the lock."""
    failure = explore(pictured_programs.two_locks).failure
    timeline = of_schedule(pictured_programs.two_locks, "two_locks", failure.schedule).timeline
    end = len(timeline.steps) - 1
    names = {lane.task: lane.name for lane in timeline.lanes}
    assert timeline.verdict == "failed"
    assert {(names[hold.task], hold.called) for hold in timeline.held_at(end)} == {("one", "LEFT"), ("other", "RIGHT")}
    waiting = {(names[wait.task], wait.called, names.get(wait.holder)) for wait in timeline.waiting_at(end)}
    assert {("one", "RIGHT", "other"), ("other", "LEFT", "one")} <= waiting


def test_steps_tell_time_place_and_words():
    """A task that sleeps for half a second goes on half a second later; one that nobody notifies gives up."""
    timeline = next(timelines("conversation", 1))
    sleep = next(wait for wait in timeline.waits if wait.op == "sleep")
    assert sleep.last_ns - sleep.first_ns == 500_000_000
    stops, goes_on = timeline.steps[sleep.first], timeline.steps[sleep.last]
    assert (stops.text, goes_on.text) == ("sleeps", "wakes up")
    assert (stops.where.partition(":")[0], stops.source) == ("pictured_programs.py", "time.sleep(0.5)")
    late = next(wait for wait in timeline.waits if wait.op == "wait" and wait.last_ns == 250_000_000)
    assert not late.in_time
    assert timeline.steps[late.last].text.endswith("its time is up")


def test_the_failing_step_is_the_failed_tasks_last():
    """And the nearest schedule that passes comes along, parting in one decision."""
    failure = explore(pictured_programs.lost_update, instrument="auto").failure
    picture = of_schedule(pictured_programs.lost_update, "lost_update", failure.shrunk)
    timeline = picture.timeline
    assert timeline.steps[timeline.failing].source.startswith("assert tally.value == 2")
    assert "lost update" in timeline.report
    assert (picture.nearest.verdict, picture.nearest.failing) == ("passed", None)
    parts = parting(timeline, picture.nearest)
    assert timeline.choices[:parts] == picture.nearest.choices[:parts]
    assert timeline.choices[parts].value != picture.nearest.choices[parts].value


def test_gathering_changes_nothing():
    """The same decisions and outcome as without."""
    for seed in range(20):
        plain = simulate(pictured_programs.conversation, seed=seed)
        drawn = of_schedule(pictured_programs.conversation, "conversation", plain.schedule).timeline
        assert [(choice.label, choice.value) for choice in drawn.choices] == [step[:2] for step in plain.schedule]
        assert (drawn.verdict, drawn.elapsed_ns) == (plain.verdict, plain.elapsed_ns)


def test_a_flows_graph_has_counts_and_durations():
    """How often each routine ran and how long, and how often each event was emitted."""
    timeline = next(timelines("flow", 1))
    (graph,) = timeline.graphs
    nodes = {node.name: node for node in graph.nodes}
    assert graph.name == "letters"
    assert (nodes["sender"].runs, nodes["sender"].total_ns) == (1, 250_000_000)
    assert (nodes["desk"].runs, nodes["desk"].total_ns, nodes["desk"].longest_ns) == (2, 2_000_000_000, 1_000_000_000)
    assert [(link.source, link.event, link.target, link.slot, link.sent) for link in graph.links] == [
        ("sender", "sent", "desk", "received", 2)
    ]
    assert sorted(activity.name for activity in timeline.activities) == ["desk.received"] * 2 + ["sender.trigger"]


@pytest.mark.parametrize("most", [1, 7, 10])
def test_of_a_long_execution_a_part_is_kept(monkeypatch, most):
    """Of one that fails the end, with the failing step; of one that passes the beginning; and it says so."""
    monkeypatch.setattr(gathering, "TOLD", most)
    schedules = {
        "lost_update": explore(pictured_programs.lost_update, instrument="auto").failure.shrunk,
        "conversation": simulate(pictured_programs.conversation).schedule,
    }
    for name, schedule in schedules.items():
        timeline = of_schedule(getattr(pictured_programs, name), name, schedule, nearest=False).timeline
        assert len(timeline.steps) == most
        assert not timeline.is_whole
        if timeline.verdict == "failed":
            assert (timeline.failing, timeline.left) == (most - 1, 0)
            assert timeline.extent() == f"steps {timeline.total - most} to {timeline.total - 1} of {timeline.total}"
        else:
            assert (timeline.failing, timeline.skipped) == (None, 0)
            assert timeline.extent() == f"steps 0 to {most - 1} of {timeline.total}"
        assert render(Picture(timeline, None))
        assert trace_events(timeline)["traceEvents"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_part_is_cut_out_of_the_whole(monkeypatch, name):
    """Wherever it begins: the same steps, spans that reach into it, arrows and decisions within, all counted anew."""
    (whole,) = timelines(name, 1)
    total, most = len(whole.steps), 7
    monkeypatch.setattr(gathering, "TOLD", most)
    for skip in range(0, total, 3):
        part = of_seed(getattr(pictured_programs, name), name, 0, nearest=False, first=skip).timeline
        ends = len(part.steps)
        assert part.steps == whole.steps[skip : skip + most]
        assert (part.skipped, part.left, part.total) == (skip, total - skip - ends, total)

        def cut(spans, skip=skip, ends=ends):
            return [
                span._replace(
                    first=max(span.first - skip, -1), last=None if span.last is None else min(span.last - skip, ends)
                )
                for span in spans
                if span.first - skip < ends and (span.last is None or span.last >= skip)
            ]

        for spans in ("waits", "holds", "activities"):
            assert list(getattr(part, spans)) == cut(getattr(whole, spans))
        assert [(arrow.source + skip, arrow.target + skip) for arrow in part.arrows] == [
            (arrow.source, arrow.target)
            for arrow in whole.arrows
            if skip <= arrow.source and arrow.target < skip + ends
        ]
        for one, other in zip(part.choices, whole.choices, strict=True):
            assert one.step == min(max(other.step - skip, -1), ends)
        assert part.graphs == whole.graphs


def test_a_step_that_is_not_there_cannot_be_begun_with():
    """The error says how many there are."""
    with pytest.raises(ValueError, match=r"there is no step 10000: there are \d+, counted from 0"):
        of_seed(pictured_programs.two_locks, "two_locks", 0, nearest=False, first=10_000)


def test_flows_of_one_name_are_told_apart():
    """Each has its own counts."""

    def twice():
        pictured_programs.flow()
        pictured_programs.flow()

    graphs = of_seed(twice, "twice", 0, nearest=False).timeline.graphs
    assert [[node.runs for node in graph.nodes] for graph in graphs] == [[1, 2], [1, 2]]
    assert [[link.sent for link in graph.links] for graph in graphs] == [[2], [2]]


def test_a_program_that_does_something_else_is_inconclusive():
    """What it did is drawn as far as it went."""
    schedule = simulate(pictured_programs.two_locks, strategy="fifo").schedule
    timeline = of_schedule(pictured_programs.conversation, "conversation", schedule).timeline
    assert timeline.verdict == "inconclusive"
    assert timeline.steps
