"""Progress: the counts are right whoever brings the news, and the picture of them gets in nobody's way."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from routilux import ErrorHandler, Flow, JobState, Routine, progress
from routilux.progress import Counts, ProgressBar, Snapshot, Tally, summary
from routilux_sim import simulate
from tests.exploring import explore

ROOT = Path(__file__).parent.parent


class Terminal(io.StringIO):
    """What rich takes for a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _an_ordinary_terminal(monkeypatch):
    """Terminals have one size and some colours, whatever the suite runs in."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)


def job_of(name="job", status="running"):
    return SimpleNamespace(job_id=name, status=status)


def activation(number, routine_id="r", job=None):
    return SimpleNamespace(job=job or job_of(), number=number, routine_id=routine_id)


STEPS = {
    # from one place to the next: the hook, its other arguments, and where the activation is then
    None: [("activation_queue", (), "queued")],
    "queued": [("activation_start", (), "running"), ("activation_drop", ("why",), "dropped")],
    "running": [
        ("activation_end", ("completed", None), "done"),
        ("activation_end", ("late", None), "done"),
        ("activation_end", ("failed", OSError()), "failed"),
        ("activation_end", ("skipped", OSError()), "failed"),
        ("activation_end", ("cancelled", None), "dropped"),
        ("activation_retry", (OSError(), 1.0), "waiting"),
    ],
    "waiting": [("activation_start", (), "running"), ("activation_drop", ("why",), "dropped")],
}


@given(st.data())
def test_counts_follow_every_activation(data):
    """Whatever way activations of several jobs and routines take: each is counted once, where it is."""
    tally = Tally()
    places = {}
    for _ in range(data.draw(st.integers(0, 40))):
        key = data.draw(st.tuples(st.sampled_from("ab"), st.integers(1, 5)))
        steps = STEPS.get(places.get(key), [])
        if not steps:
            continue
        hook, rest, places[key] = data.draw(st.sampled_from(steps))
        routine_id = f"routine {key[1] % 2}"
        getattr(tally, hook)(activation(key[1], routine_id, job_of(key[0])), *rest)
    counted = tally.snapshot()
    for parity in (0, 1):
        mine = [place for (_, number), place in places.items() if number % 2 == parity]
        expected = Counts(*(mine.count(name) for name in Counts._fields))
        assert counted.routines.get(f"routine {parity}", Counts()) == expected
    assert counted.total.busy + counted.total.ended == len(places)


def test_jobs_are_counted_by_status():
    """A job under way by the status that it has now, one that has ended by its final one."""
    tally = Tally()
    first, second = job_of("first"), job_of("second", "paused")
    tally.job_start(first)
    tally.job_start(second)
    assert tally.snapshot().jobs == {"running": 1, "paused": 1}
    first.status, second.status = "completed", "running"
    tally.job_resume(second)
    tally.job_end(first)
    assert tally.snapshot().jobs == {"running": 1, "completed": 1}
    assert tally.snapshot().live == 1


def test_what_ended_is_not_kept():
    """A tally that has counted many activations and jobs holds on to none of them."""
    tally = Tally()
    for number in range(100):
        job = job_of(str(number))
        tally.job_start(job)
        tally.activation_queue(activation(1, job=job))
        tally.activation_start(activation(1, job=job))
        tally.activation_end(activation(1, job=job), "completed", None)
        tally.job_end(job)
    assert not tally._places
    assert not tally._live
    assert tally.snapshot().total == Counts(done=100)


def test_news_from_several_threads_adds_up_under_every_schedule():
    """Whenever one looks, everything is somewhere; at the end all are done."""

    def program():
        tally = Tally()

        def work(job):
            for number in range(3):
                for hook, *rest in (("queue",), ("start",), ("end", "completed", None)):
                    getattr(tally, f"activation_{hook}")(activation(number, job=job), *rest)

        threads = [threading.Thread(target=work, args=(job_of(str(n)),)) for n in range(3)]
        for thread in threads:
            thread.start()
        seen = [tally.snapshot().total for _ in range(3)]
        for thread in threads:
            thread.join()
        assert tally.snapshot().total == Counts(done=9)
        assert all(min(counts) >= 0 and sum(counts) <= 9 for counts in seen)

    explore(program, schedules=200).raise_if_failed()


def shaky_flow(instrument, delay=0.25):
    """Ten activations: of each five, one fails once, one fails for good and is let go, three are done."""
    flow = Flow(execution_strategy="concurrent", max_workers=2, instruments=[instrument])
    source, retried, skipped = Routine(), Routine(), Routine()
    failures = {3}

    def go():
        for n in range(5):
            source.emit("out", n=n)

    def try_again(n):
        time.sleep(delay)
        if n in failures:
            failures.discard(n)
            raise OSError(n)

    def skip(n):
        if n == 2:
            raise OSError(n)

    source.define_slot("trigger", go)
    source.define_event("out")
    retried.define_slot("in", try_again)
    retried.set_error_handler(ErrorHandler("retry", retry_delay=delay))
    skipped.define_slot("in", skip)
    skipped.set_as_optional()
    for routine_id, routine in (("source", source), ("retried", retried), ("skipped", skipped)):
        flow.add_routine(routine, routine_id)
    for target in ("retried", "skipped"):
        flow.connect("source", "out", target, "in")
    return flow


def run_shaky(instrument, delay=0.25):
    with shaky_flow(instrument, delay) as flow:
        return JobState.wait_for_completion(flow, flow.execute("source"))


def test_a_flow_is_counted_to_its_end():
    """What a real flow's engine tells comes to this, and on the way nothing is below nil or above the workers."""
    seen = []

    class Watching(Tally):
        def changed(self):
            seen.append(self.snapshot().total)

    tally = Watching()
    assert run_shaky(tally, delay=0.0)
    assert tally.snapshot() == Snapshot(
        {"source": Counts(done=1), "retried": Counts(done=5), "skipped": Counts(done=4, failed=1)},
        {"completed": 1},
        0,
    )
    assert all(min(counts) >= 0 and counts.running <= 2 for counts in seen)
    assert any(counts.waiting for counts in seen)


def test_the_summary_leaves_out_what_is_nil():
    """One line, with nothing that did not happen."""
    snapshot = Snapshot({"a": Counts(done=1200), "b": Counts(failed=1)}, {"completed": 3, "failed": 0}, 0)
    assert summary(snapshot, 2.06) == "jobs: 3 completed; activations: 1,200 done, 1 failed; 2.1 s"
    assert summary(Snapshot({}, {}, 0), 0) == "jobs: none; activations: none; 0.0 s"


def test_away_from_a_terminal_there_is_one_line_at_the_end(capsys):
    """On standard error; standard output is left alone."""
    with ProgressBar() as bar:
        run_shaky(bar, delay=0.0)
        assert capsys.readouterr() == ("", "")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("jobs: 1 completed; activations: 10 done, 1 failed; ")
    assert err.count("\n") == 1


def test_a_terminal_that_can_only_print_gets_the_line(monkeypatch):
    """Where the cursor cannot be moved there is no picture to redraw."""
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with ProgressBar(terminal) as bar:
        run_shaky(bar, delay=0.0)
    assert terminal.getvalue().startswith("jobs: 1 completed; ")
    assert terminal.getvalue().count("\n") == 1


def test_a_terminal_shows_the_picture_and_what_is_printed_above_it(monkeypatch):
    """Lines written to standard error meanwhile stand above; standard output, if piped, is not touched."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    piped = sys.stdout
    threads = threading.enumerate()
    with ProgressBar() as bar:
        assert sys.stdout is piped
        assert threading.enumerate() == threads
        sys.stderr.write("meanwhile\n")
        run_shaky(bar, delay=0.0)
    assert sys.stderr is terminal
    drawn = terminal.getvalue()
    assert drawn.index("meanwhile") < drawn.rindex("jobs: 1 completed")
    assert "source" in drawn


def drawn_during(monkeypatch, program):
    """The snapshots that are drawn while a simulated program runs, each with its virtual time."""
    pictures = []
    picture = progress._picture

    def note(snapshot, seconds, *rest):
        pictures.append((seconds, snapshot))
        return picture(snapshot, seconds, *rest)

    monkeypatch.setattr(progress, "_picture", note)
    simulate(program).result()
    return pictures


def test_pictures_are_drawn_ten_times_a_second_at_most(monkeypatch):
    """A thousand changes in a second make some eleven pictures; the last shows how it ended."""

    def program():
        with ProgressBar(Terminal()) as bar:
            bar.job_start(job := job_of())
            for number in range(1000):
                time.sleep(0.001)
                bar.activation_queue(activation(number, job=job))

    pictures = drawn_during(monkeypatch, program)
    assert 10 <= len(pictures) <= 12
    assert pictures[-1][1].total == Counts(queued=1000)


def test_the_end_of_the_last_job_is_drawn_at_once(monkeypatch):
    """A picture that shows a running job does not stay when none is."""

    def program():
        with ProgressBar(Terminal()) as bar:
            bar.job_start(job := job_of())
            time.sleep(0.01)
            job.status = "completed"
            bar.job_end(job)
            time.sleep(10)

    pictures = drawn_during(monkeypatch, program)
    assert [(seconds, snapshot.jobs) for seconds, snapshot in pictures] == [
        (0.0, {"running": 1}),
        (0.01, {"completed": 1}),
        (10.01, {"completed": 1}),
    ]


def test_a_simulation_with_a_bar_is_as_deterministic_as_one_without():
    """One seed, one log and one picture after another, each like the first."""

    def program():
        terminal = Terminal()
        with ProgressBar(terminal) as bar:
            run_shaky(bar)
        return terminal.getvalue()

    once, again = simulate(program, seed=4), simulate(program, seed=4)
    assert once.result() == again.result()
    assert "retried" in once.result()
    assert once.log_bytes() == again.log_bytes()


def test_bars_count_under_every_schedule_and_are_drawn_by_one_thread_at_a_time(monkeypatch):
    """Workers that bring news while another draws go on, and what they brought is in the last picture."""
    drawing = []
    picture = progress._picture

    def slow(*args):
        drawing.append(None)
        assert len(drawing) == 1
        time.sleep(0.3)
        drawing.pop()
        return picture(*args)

    monkeypatch.setattr(progress, "_picture", slow)

    def program():
        bar = ProgressBar(Terminal())
        with bar:
            assert run_shaky(bar)
        assert bar.snapshot().total == Counts(done=10, failed=1)
        assert bar.snapshot().live == 0

    explore(program, schedules=30).raise_if_failed()


def test_nothing_is_drawn_once_a_bar_has_stopped():
    """Whoever was about to draw when it stopped does not: the terminal is the program's again."""

    def program():
        terminal = Terminal()
        bar = ProgressBar(terminal)
        bar.start()
        time.sleep(1)
        worker = threading.Thread(target=bar.activation_queue, args=(activation(1),))
        worker.start()
        bar.stop()
        drawn = terminal.getvalue()
        worker.join()
        assert terminal.getvalue() == drawn

    explore(program, schedules=200).raise_if_failed()


def test_a_terminal_that_goes_away_breaks_nothing(monkeypatch):
    """What cannot be drawn is not; the counting goes on, and so does the flow; standard error is put back."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar() as bar:
        terminal.close()
        assert run_shaky(bar, delay=0.0)
        assert sys.stderr is terminal
    assert bar.snapshot().total == Counts(done=10, failed=1)


def test_starting_and_stopping_twice_is_once():
    """A bar may be started and stopped by hand, any number of times; it counts all the while."""
    terminal = Terminal()
    bar = ProgressBar(terminal)
    bar.stop()
    bar.activation_queue(activation(1))
    bar.start()
    bar.start()
    bar.stop()
    bar.stop()
    length = len(terminal.getvalue())
    bar.activation_start(activation(1))
    assert len(terminal.getvalue()) == length
    assert bar.snapshot().total == Counts(running=1)


def text_of(snapshot, *, width=100, height=30, rows=20):
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(progress._picture(snapshot, 1.5, rows, console))
    return console.file.getvalue().splitlines()


def test_columns_are_aligned_and_long_names_cut():
    """Every line ends where the others do; a name takes what room there is; numbers that are nil take none."""
    names = ["a", "b" * 200, "[bold]名前[/bold]", "two\nlines\x1b[2J"]
    lines = text_of(Snapshot({name: Counts(done=n, queued=10**n) for n, name in enumerate(names)}, {"running": 1}, 1))
    assert lines[0].rstrip() == "jobs: 1 running; 1.5 s"
    assert lines[1].split() == ["routine", "queued", "running", "done"]
    assert len(lines) == 6
    assert [line.split()[0] for line in lines[2:]] == [
        "a",
        "b" * 53 + "…",
        "[bold]名前[/bold]",
        "two\ufffdlines\ufffd[2J",
    ]
    assert [line.split()[-3:] for line in lines[2:]] == [[f"{10**n:,}", "0", str(n)] for n in range(4)]
    assert len({line.rstrip().rindex(line.split()[-1]) for line in lines[2:4]}) == 1


def test_many_routines_are_folded():
    """The busy ones keep their lines, the others are one line together; nobody is counted twice or left out."""
    routines = {f"idle_{n}": Counts(done=2) for n in range(30)}
    routines |= {f"busy_{n}": Counts(queued=1) for n in range(10)}
    lines = text_of(Snapshot(routines, {}, 0))
    assert len(lines) == 2 + 20
    assert [line.split()[0] for line in lines[-11:-1]] == [f"busy_{n}" for n in range(10)]
    assert lines[-1].startswith("… 21 more")
    assert lines[-1].split()[-3:] == ["0", "0", "42"]
    assert [line.split()[0] for line in text_of(Snapshot(routines, {}, 0), rows=1)[2:]] == ["…"]


@pytest.mark.parametrize(("width", "height"), [(100, 10), (60, 30), (30, 8), (12, 4), (1, 1)])
def test_small_terminals_get_what_fits(width, height):
    """No line is wider than the terminal, and names and what is done are the last to go."""
    routines = {f"routine_{n}": Counts(1, 1, 1, 1234, 1, 1) for n in range(40)}
    lines = text_of(Snapshot(routines, {"running": 1}, 1), width=width, height=height)
    assert all(len(line) <= width for line in lines)
    if width >= 30:
        assert len(lines) <= height
        assert lines[2].startswith("routine_0 ")
        assert "1,234" in lines[2]


def test_millions_fit_their_column():
    """A number is never cut."""
    (line,) = text_of(Snapshot({"r": Counts(done=12_345_678, queued=999_999)}, {}, 0))[2:]
    assert line.split()[-3:] == ["999,999", "0", "12.3M"]


@pytest.mark.parametrize("rows", [0, -1, 2.0, True, "20"])
def test_a_number_of_rows_must_be_one(rows):
    """The value is named."""
    with pytest.raises(ValueError, match=r"rows must be a whole number from 1 up, not"):
        ProgressBar(rows=rows)


def test_rich_is_imported_when_the_drawing_begins_and_named_when_it_is_missing():
    """Counting needs no extra; drawing without it says what to install."""
    code = (
        "import sys; from routilux.progress import ProgressBar; bar = ProgressBar()\n"
        "assert 'rich' not in sys.modules; sys.modules['rich'] = None\n"
        "try: bar.start()\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "routilux[progress]" in done.stdout
