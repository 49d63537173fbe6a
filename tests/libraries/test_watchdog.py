"""watchdog's threads, without a file system: emitters, the observer that dispatches, its queues and its debouncer."""

from __future__ import annotations

import queue
import time

import pytest
from watchdog.events import FileModifiedEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter
from watchdog.utils.bricks import SkipRepeatsQueue
from watchdog.utils.delayed_queue import DelayedQueue
from watchdog.utils.event_debouncer import EventDebouncer

from tests.libraries.claims import at_once, breaks, exact, holds


class Ticking(EventEmitter):
    """Says once a second that something has changed."""

    def queue_events(self, timeout):
        if not self.stopped_event.wait(timeout):
            self.queue_event(FileModifiedEvent(f"{self.watch.path}/{time.monotonic():g}"))


class Notes(FileSystemEventHandler):
    def __init__(self):
        self.seen = []

    def on_any_event(self, event):
        self.seen.append(event.src_path)


def observer():
    """An observer of nothing yet, what it is to tell, and the emitters that it makes."""
    made = []

    def make(*args, **kwargs):
        made.append(Ticking(*args, **kwargs))
        return made[-1]

    return BaseObserver(make, timeout=1.0), Notes(), made


def test_events_reach_their_handlers_in_order():
    """Two watches, each with its own handler, at exact times."""

    def program():
        watching, notes, _ = observer()
        others = Notes()
        watching.schedule(notes, "/a")
        watching.start()
        time.sleep(1.5)
        watching.schedule(others, "/b")
        time.sleep(2.2)
        watching.stop()
        watching.join()
        return notes.seen, others.seen, time.monotonic()

    assert exact(program) == (["/a/1", "/a/2", "/a/3"], ["/b/2.5", "/b/3.5"], 3.7)


def test_nothing_comes_after_unscheduling():
    """What was in the queue already is dropped, too."""

    def program():
        watching, notes, _ = observer()
        watch = watching.schedule(notes, "/a")
        watching.start()
        time.sleep(2)
        watching.unschedule(watch)
        seen = list(notes.seen)
        time.sleep(5)
        assert notes.seen == seen
        watching.stop()
        watching.join()

    holds(program)


def test_stopping_ends_every_emitter():
    """However many there were, and whether or not they were about to say something."""

    def program():
        watching, notes, made = observer()
        for name in "abc":
            watching.schedule(notes, name)
        watching.start()
        time.sleep(1)
        watching.stop()
        watching.join()
        assert not [emitter for emitter in made if emitter.is_alive()]

    holds(program)


def test_a_watch_added_while_the_observer_starts_may_never_be_watched():
    """The emitters are started before the observer counts as alive: one that is added in between is not started."""

    def program():
        watching, notes, _ = observer()
        at_once(watching.start, lambda: watching.schedule(notes, "/a"))
        time.sleep(10)
        assert notes.seen, "ten seconds, and no event"

    breaks(program, "exception", "ten seconds, and no event")


def test_a_watch_added_while_the_observer_stops_may_be_watched_for_ever():
    """The emitters have been stopped, but the observer still counts as alive: one that is added then is started."""

    def program():
        watching, notes, made = observer()
        watching.start()
        at_once(watching.stop, lambda: watching.schedule(notes, "/a"))
        watching.join()
        time.sleep(10)
        assert not [emitter for emitter in made if emitter.is_alive()], "an emitter runs on"

    breaks(program, "exception", "an emitter runs on")


def test_handlers_may_stop_the_observer_and_take_their_watch_away():
    """They are called with the observer's lock held, which is theirs too."""

    def program():
        watching, _, made = observer()

        class Once(FileSystemEventHandler):
            def on_any_event(self, event):
                watching.unschedule(watch)
                watching.stop()

        watch = watching.schedule(Once(), "/a")
        watching.start()
        watching.join(30)
        assert not watching.is_alive()
        assert not [emitter for emitter in made if emitter.is_alive()]

    holds(program)


def test_taking_a_watch_away_while_the_observer_stops_may_be_an_error():
    """Stopping takes all of them away."""

    def program():
        watching, notes, _ = observer()
        watch = watching.schedule(notes, "/a")
        watching.start()
        at_once(watching.stop, lambda: watching.unschedule(watch))

    report = breaks(program, "exception", "ObservedWatch")
    assert type(report.failure.exception) is KeyError


@pytest.mark.parametrize("size", [0, 1])
def test_repeats_are_skipped_and_nothing_else_is(size):
    """Neighbours differ, and what each producer put comes in its order."""

    def program():
        items = SkipRepeatsQueue(size)
        taken = []

        def produce():
            for n in (1, 1, 2, 2, 1):
                items.put(n)

        def consume():
            taken.extend(iter(items.get, None))

        def end():
            at_once(produce, produce)
            items.put(None)

        at_once(consume, end)
        assert set(taken) == {1, 2}
        assert len(taken) <= 10
        assert taken[-1] == 1

    holds(program)


def test_a_full_queue_of_distinct_items_gives_up_in_time():
    """The timeout includes the wait for another producer."""

    def program():
        items = SkipRepeatsQueue(1)
        items.put(0)

        def produce(n):
            with pytest.raises(queue.Full):
                items.put(n, timeout=2)

        at_once(lambda: produce(1), lambda: produce(2))
        return time.monotonic()

    assert exact(program) == 2.0


def test_a_delayed_item_comes_when_its_time_has_come():
    """One without delay behind it waits for it; one that is removed meanwhile does not come."""

    def program():
        items = DelayedQueue(2.0)
        taken = []

        def consume():
            while (item := items.get()) is not None:
                taken.append((item, time.monotonic()))

        def produce():
            items.put("late", delay=True)
            items.put("soon")
            items.put("gone", delay=True)
            time.sleep(1)
            items.remove(lambda item: item == "gone")
            time.sleep(4)
            items.close()

        at_once(consume, produce)
        return taken

    assert exact(program) == [("late", 2.0), ("soon", 2.0)]


def test_closing_wakes_one_of_two_that_wait():
    """`DelayedQueue.close` notifies one waiter, and that one does not notify the next."""

    def program():
        items = DelayedQueue(1.0)

        def close():
            time.sleep(1)
            items.close()

        at_once(items.get, items.get, close)

    breaks(program, "deadlock", "delayed_queue.py")


def test_the_debouncer_delivers_each_event_once():
    """Also those that come while it is being stopped."""

    def program():
        delivered = []
        debouncer = EventDebouncer(1.0, delivered.extend)
        debouncer.start()

        def produce():
            for n in range(3):
                debouncer.handle_event(n)
                time.sleep(0.7)

        at_once(produce, produce)
        debouncer.stop()
        debouncer.join()
        assert sorted(delivered) == [0, 0, 1, 1, 2, 2]

    holds(program)


def test_the_debouncer_does_not_wait_for_quiet():
    """Its docstring says that each event resets the timer; it delivers an interval after the first, at the next one."""

    def program():
        delivered = []
        debouncer = EventDebouncer(1.0, lambda events: delivered.append((time.monotonic(), len(events))))
        debouncer.start()
        for n in range(4):
            debouncer.handle_event(n)
            time.sleep(0.6)
        time.sleep(3)
        debouncer.stop()
        debouncer.join()
        return delivered

    assert exact(program) == [(1.2, 3), (2.8, 1)]
