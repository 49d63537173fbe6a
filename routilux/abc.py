"""The seams: what the engine asks of its surroundings, and what it tells whoever listens.

A **Runtime** is what threads and time are made of; a **Scheduler** is where activations run; an **Instrument** hears
what happens. Production and simulation differ in the first two and in nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from routilux.engine.activation import Activation, Item
    from routilux.job_state import JobState
    from routilux.log import ExecutionLog
    from routilux.runtime import EventLoop

__all__ = [
    "LONGEST_WAIT",
    "Faults",
    "FutureLike",
    "Instrument",
    "Lock",
    "Runtime",
    "Scheduler",
    "Sender",
    "Thread",
    "Workers",
]

T = TypeVar("T")

LONGEST_WAIT = 100 * 365 * 86_400.0
"""A century, in seconds: as good as for ever, and below what ``Lock.acquire(timeout=)`` accepts on every platform."""


class Lock(Protocol):
    """A mutual-exclusion lock: what ``threading.Lock()`` returns, or its simulated twin."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, waiting up to ``timeout`` seconds (-1: for ever); False when it could not be had."""

    def release(self) -> None:
        """Give the lock back; any thread may."""

    def __enter__(self) -> bool:
        """Take the lock."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Give it back."""


class Thread(Protocol):
    """A started thread."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, at most ``timeout`` seconds."""

    def is_alive(self) -> bool:
        """True until the thread has ended."""


class Faults(ABC):
    """Makes things go wrong, where a simulator is told to. Production has none of it."""

    @abstractmethod
    def before_handler(self, routine_id: str, slot: str) -> tuple[float, BaseException | None]:
        """What happens before a handler is called: the seconds that go by, and what it raises instead of running."""

    @abstractmethod
    def before_emit(self) -> None:
        """Raise what a handler raises instead of emitting once more."""

    @abstractmethod
    def after_handler(self) -> None:
        """Raise what a handler raises that has run to its end."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let so much time go by, in the calling thread."""

    @abstractmethod
    def point(self, name: str) -> None:
        """What is to happen where the code has named a point."""

    @abstractmethod
    def is_full(self, queue: Any) -> bool:
        """Whether a queue with a limit says that it is full; a flow's goes by the flow's id."""

    @abstractmethod
    def store(self, operation: str) -> None:
        """Raise what a store of jobs is to raise before it is read (``"read"``) or written (``"write"``)."""


class Runtime(ABC):
    """What threads and time are made of.

    The thread pool, the timers and the completion of jobs are written once against these few calls, so that the code
    most likely to hold a race is the code that gets simulated.
    """

    instruments: Sequence[object] = ()
    """Listeners that every flow on this runtime gets beside its own."""

    execution_log: ExecutionLog | None = None
    """The log that `routilux.log.configure` has turned on for the flows on this runtime."""

    point: Callable[[str], None] | None = None
    """Called with a word for what comes next, before each step on shared state that no lock guards: where a simulator
    may switch to another thread. None in production, where the operating system does as it likes."""

    faults: Faults | None = None
    """What goes wrong in this world on purpose."""

    @abstractmethod
    def lock(self) -> Lock:
        """Make an unlocked lock."""

    @abstractmethod
    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never goes back; its zero means nothing."""

    @abstractmethod
    def wall_time(self) -> float:
        """Seconds since 1970, as ``time.time()``."""

    @abstractmethod
    def start_thread(self, target: Callable[[], None], name: str) -> Thread:
        """Run ``target`` in a new daemon thread.

        Raises:
            RuntimeError: The system has no more threads to give.
        """

    @abstractmethod
    def thread_name(self) -> str:
        """The name of the calling thread."""

    @abstractmethod
    def new_event_loop(self) -> EventLoop:
        """Make an asyncio event loop for a thread of this runtime; whoever asks closes it.

        Raises:
            OSError: The system has no more files to give.
        """

    @abstractmethod
    def new_id(self, prefix: str) -> str:
        """Make an identifier starting with ``prefix`` that no other process makes."""

    @abstractmethod
    def at_exit(self, callback: Callable[[], object], *, early: bool = False) -> None:
        """Call the bound method ``callback`` when the program ends, without keeping its object alive until then.

        Args:
            callback: What to call.
            early: Before the executors of the standard library that there are by now take nothing more.
        """


class FutureLike(Protocol):
    """What becomes of something that was submitted: as much of ``concurrent.futures.Future`` as is needed."""

    def result(self) -> Any:
        """What the function has returned; raises what it raised, or what became of its worker. Asked when done."""

    def exception(self) -> BaseException | None:
        """What `result` would raise. Asked when done, and not cancelled."""

    def cancelled(self) -> bool:
        """Whether it was taken back."""

    def cancel(self) -> bool:
        """Take it back, if nobody has begun with it; False if that cannot be."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """Call ``callback`` with this future when it is done, in whichever thread; at once, if it is."""


class Sender(ABC):
    """Has functions run elsewhere: what a scheduler has whose activations run in other processes.

    Attributes:
        by_value: What workers cannot import travels as code, with cloudpickle.
        journey: About what sending a call costs, in seconds; handlers that take less travel several at a time.
        direct: The thread that calls a future's callbacks may be kept busy by them, and may submit.
    """

    by_value: bool
    journey: float
    direct: bool

    @abstractmethod
    def submit(self, function: Callable[..., Any], /, *args: Any) -> FutureLike:
        """Let ``function(*args)`` run in a worker, once, as soon as there is one."""


class Workers(ABC):
    """The workers that one flow has on a scheduler, and the FIFO queue before them."""

    @abstractmethod
    def submit(self, activations: Sequence[Item]) -> None:
        """Queue ``activations`` in their order."""

    put: Callable[[Item], object]
    """Queues one activation; whoever calls it calls `summon` next, if the workers are ``hungry`` then."""

    hungry: bool
    """Whether somebody should be sent for when there is work: read after each `put`, as a call would cost more."""

    @abstractmethod
    def summon(self) -> None:
        """Send for a worker."""

    @abstractmethod
    def resize(self, max_workers: int) -> None:
        """Run at most ``max_workers`` activations at a time from now on; what runs goes on."""

    @abstractmethod
    def close(self) -> None:
        """Let each worker end as soon as the queue is empty."""

    @abstractmethod
    def join(self, timeout: float | None = None) -> bool:
        """Wait until all workers have ended, at most ``timeout`` seconds; True when they have."""


class Scheduler(ABC):
    """Where activations run.

    Attributes:
        sender: Has activations run in other processes; None: they run in this scheduler's own workers.
    """

    sender: Sender | None = None

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The runtime that this scheduler's threads, locks and clocks come from."""

    @abstractmethod
    def open(
        self,
        run: Callable[[Item], None],
        *,
        name: str,
        max_workers: int,
        leave: Callable[[], object] | None = None,
    ) -> Workers:
        """Make the workers for one flow.

        Args:
            run: Called in a worker with each activation in turn; it does not raise.
            name: What the workers' names start with.
            max_workers: The most activations that run at a time.
            leave: Called in a worker that has nothing to do for now, so that it keeps nothing of the last one alive.
        """

    def enter(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Do one blocking operation of a caller's (execute, wait, shutdown) in this scheduler's world.

        On real threads that is simply the call.
        """
        return call(*args, **kwargs)


class Instrument:
    """Hears what the engine does. Every method is optional: any object with some of them will do.

    The calls come from whichever thread the thing happens in. A method that raises is not called again; the failure is
    logged once on the logger ``routilux``.
    """

    def job_start(self, job: JobState) -> None:
        """A job begins."""

    def job_pause(self, job: JobState) -> None:
        """A job is paused: nothing of it starts until it is resumed."""

    def job_resume(self, job: JobState) -> None:
        """A paused job goes on."""

    def job_end(self, job: JobState) -> None:
        """Nothing of the job is queued, running or waiting to be retried; ``job.status`` is final."""

    def emit(self, job: JobState, routine_id: str, event: str, data: dict[str, Any], targets: int) -> None:
        """A routine emitted an event that ``targets`` connected slots will get."""

    def activation_queue(self, activation: Activation) -> None:
        """An activation is queued for the first time."""

    def activation_start(self, activation: Activation) -> None:
        """A handler is about to be called."""

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:
        """A handler has returned or raised; ``status`` is the outcome after the error strategy has spoken."""

    def activation_retry(self, activation: Activation, error: BaseException, delay: float) -> None:
        """A failed activation will be tried again ``delay`` seconds from now."""

    def activation_drop(self, activation: Activation, reason: str) -> None:
        """A queued or delayed activation will never run."""


def hook_names() -> Iterable[str]:
    """The names of the methods that an instrument may have."""
    return [name for name, value in vars(Instrument).items() if callable(value) and not name.startswith("_")]
