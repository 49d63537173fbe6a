"""The flows and programs that the scenarios beside this file run."""

import threading
import time

from examples.concurrent_flow_demo import FailingFetcher, create_concurrent_flow, create_sequential_flow
from examples.hidden_race import CarefulAggregator
from routilux import ErrorHandler, ErrorStrategy, Flow, Routine
from routilux.exceptions import QueueFullError
from routilux.job_state import JobState

# ---- The page


def serialized(max_workers: int = 5) -> Flow:
    """Make the page's flow anew from its own description."""
    flow = Flow()
    flow.deserialize(create_concurrent_flow(max_workers).serialize())
    return flow


def has_eight_workers(flow: Flow) -> bool:
    """Whether a flow is concurrent, and may have eight workers."""
    return (flow.execution_strategy, flow.max_workers) == ("concurrent", 8)


def with_a_source_down(strategy: str = "continue") -> Flow:
    """Make the page's flow with a fetcher that raises."""
    flow = create_concurrent_flow()
    flow.set_error_handler(ErrorHandler(strategy=strategy))
    flow.routines["fetcher_2"] = FailingFetcher()
    return flow


def of_equal_sources(careful: bool = False) -> Flow:
    """Make the page's flow with sources that answer at the same instant.

    Its aggregator appends a result and then looks whether all are there. Two calls may append before either looks, and
    both find all there; not if it is ``careful``, and takes one call at a time.
    """
    flow = create_concurrent_flow()
    for fetcher in ("fetcher_1", "fetcher_2", "fetcher_3"):
        flow.routines[fetcher].set_config(delay=0.2)
    if careful:
        flow.routines["aggregator"] = CarefulAggregator()
    return flow


def without_delays() -> Flow:
    """Make the page's flow with sources that take no time but the scenario's."""
    flow = create_concurrent_flow()
    for fetcher in ("fetcher_1", "fetcher_2", "fetcher_3"):
        flow.routines[fetcher].set_config(delay=0.0)
    return flow


def emit_returns_at_once() -> float:
    """Emit to a slow routine, and return how long that took."""
    took: list[float] = []

    class Emitter(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", handler=self.begin)
            self.define_event("out")

        def begin(self):
            began = time.monotonic()
            self.emit("out")
            took.append(time.monotonic() - began)

    flow = Flow(execution_strategy="concurrent")
    flow.add_routine(Emitter(), "emitter")
    flow.add_routine(Worker(), "slow")
    flow.connect("emitter", "out", "slow", "trigger")
    with flow:
        JobState.wait_for_completion(flow, flow.execute("emitter"))
    return took[0]


def switches_strategy() -> list[object]:
    """Make a sequential flow concurrent while nothing runs, and back while a job does; return what it said."""
    flow = create_sequential_flow()
    said: list[object] = [flow.execution_strategy, flow.max_workers]
    with flow:
        flow.set_execution_strategy("concurrent", max_workers=10)
        said += [flow.execution_strategy, flow.max_workers]
        job = flow.execute("trigger")
        said.append(job.status)
        flow.set_execution_strategy("sequential")
        JobState.wait_for_completion(flow, job)
        said.append(job.status)
    return said


def waits_and_shuts_down() -> list[object]:
    """Wait for a job, shut the flow down, and return what that came to, with the threads that are left of it."""
    before = threading.active_count()
    flow = pipeline(max_workers=3)
    job = flow.execute("source", {"items": 6})
    waited = JobState.wait_for_completion(flow, job, timeout=10.0)
    said = [waited, job.status, len(job.pending_tasks)]
    return [*said, flow.shutdown(wait=True), threading.active_count() - before]


def shares_state() -> list[int]:
    """Have several workers write to one job's shared log, and return what is in it."""

    class Noting(Sink):
        def take(self, item: int):
            context = self.get_execution_context()
            context.job_state.append_to_shared_log({"item": item})

    flow = Flow(execution_strategy="concurrent", max_workers=4)
    flow.add_routine(Source(), "source")
    flow.add_routine(Noting(), "noting")
    flow.connect("source", "item", "noting", "item")
    with flow:
        job = flow.execute("source", {"items": 8})
        JobState.wait_for_completion(flow, job)
    return sorted(entry["item"] for entry in job.get_shared_log())


def tracks_execution() -> dict[str, int]:
    """Have several workers at two jobs of one flow, and return what the flow's tracker has counted."""
    flow = pipeline(max_workers=4)
    with flow:
        for job in [flow.execute("source", {"items": 4}) for _ in range(2)]:
            JobState.wait_for_completion(flow, job)
    tracker = flow.execution_tracker
    counted = {name: tracker.get_routine_performance(name)["total_executions"] for name in flow.routines}
    return {**counted, "events": tracker.get_flow_performance()["total_events"]}


def order_of_processing(max_workers: int) -> list[int]:
    """Emit items to a routine, and return the order in which they were begun."""
    begun: list[int] = []

    class Noting(Sink):
        def take(self, item: int):
            begun.append(item)
            time.sleep(1)

    flow = Flow(execution_strategy="concurrent", max_workers=max_workers)
    flow.add_routine(Source(), "source")
    flow.add_routine(Noting(), "noting")
    flow.connect("source", "item", "noting", "item")
    with flow:
        JobState.wait_for_completion(flow, flow.execute("source", {"items": 5}))
    return begun


# ---- Small routines


class Worker(Routine):
    """Takes a while, and passes on what it got."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.define_event("done", ["item"])
        self.set_config(seconds=1.0)

        self._lock = threading.Lock()
        self.running = 0

    def work(self, item: object = None):
        """Take a while."""
        with self._lock:
            self.running += 1
        time.sleep(self.get_config("seconds"))
        with self._lock:
            self.running -= 1
        self.emit("done", item=item)


def no_more_than_workers(flow: Flow) -> bool:
    """Whether no more calls run than the flow has workers."""
    return flow.routines["worker"].running <= flow.max_workers


class Source(Routine):
    """Emits so many items."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.begin)
        self.define_event("item", ["item"])

    def begin(self, items: int = 3):
        """Emit them all at once."""
        for item in range(items):
            self.emit("item", item=item)


class Sink(Routine):
    """Takes what comes."""

    def __init__(self):
        super().__init__()
        self.define_slot("item", handler=self.take)

    def take(self, item: object):
        """Take an item."""


class Flaky(Routine):
    """Fails so many times, each time after a while."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.attempt)
        self.define_event("done", ["item"])
        self.set_config(failures=2)
        self._attempts = 0

    def attempt(self, item: object = None):
        """Fail, or not any more."""
        time.sleep(0.1)
        self._attempts += 1
        if self._attempts <= self.get_config("failures"):
            raise ConnectionError(f"attempt {self._attempts}")
        self.emit("done", item=item)


def _collecting(first: Routine, execution_strategy: str, **options: object) -> Flow:
    flow = Flow(execution_strategy=execution_strategy, **options)
    flow.add_routine(Source(), "source")
    flow.add_routine(first, "worker")
    flow.add_routine(Sink(), "sink")
    flow.connect("source", "item", "worker", "trigger")
    flow.connect("worker", "done", "sink", "item")
    return flow


def pipeline(max_workers: int = 4, seconds: float = 1.0, max_pending: int | None = None) -> Flow:
    """Make a source, a worker that takes a while, and a sink."""
    worker = Worker()
    worker.set_config(seconds=seconds)
    return _collecting(worker, "concurrent", max_workers=max_workers, max_pending=max_pending)


def flaky(strategy: str, failures: int = 2, max_retries: int = 3) -> Flow:
    """Make a flow whose worker fails at first, handled by a strategy."""
    worker = Flaky()
    worker.set_config(failures=failures)
    flow = _collecting(worker, "concurrent", max_workers=1)
    flow.set_error_handler(ErrorHandler(ErrorStrategy(strategy), max_retries, retry_delay=1.0, retry_backoff=2.0))
    return flow


def one_at_a_time(max_pending: int) -> Flow:
    """Make a flow of one worker, in whose queue so many jobs find room."""
    flow = Flow(execution_strategy="concurrent", max_workers=1, max_pending=max_pending)
    flow.add_routine(Worker(), "worker")
    return flow


def refused_when_full() -> str:
    """Let a handler emit more than may be queued, and return what it is told."""
    told: list[str] = []

    class Greedy(Source):
        def begin(self, items: int = 10):
            try:
                super().begin(items)
            except QueueFullError as error:
                told.append(type(error).__name__)

    flow = Flow(execution_strategy="concurrent", max_workers=1, max_pending=3)
    flow.add_routine(Greedy(), "source")
    flow.add_routine(Sink(), "sink")
    flow.connect("source", "item", "sink", "item")
    with flow:
        JobState.wait_for_completion(flow, flow.execute("source", {"items": 10}))
    return told[0]


def opposite_locks() -> None:
    """Take two locks in opposite orders."""
    first, second = threading.Lock(), threading.Lock()

    def take(outer: threading.Lock, inner: threading.Lock) -> None:
        with outer, inner:
            pass

    threads = [threading.Thread(target=take, args=pair, daemon=True) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
