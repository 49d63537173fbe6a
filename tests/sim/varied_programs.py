"""Programs that between them use everything that is simulated; each returns something that the schedule decides."""

import asyncio
import contextvars
import queue
import random
import sched
import secrets
import threading
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait

from sim_helpers import run_threads

from routilux import Flow, JobState, Routine
from routilux_sim import simulate


def locks():
    order, one, two = [], threading.Lock(), threading.RLock()

    def work(name):
        for _ in range(3):
            with one, two, two:
                order.append(name)
            if one.acquire(timeout=0.5):
                one.release()

    run_threads(*[lambda name=name: work(name) for name in "abc"])
    return "".join(order)


def conditions():
    ready, items, got = threading.Condition(), [], []

    def consume(name):
        for _ in range(2):
            with ready:
                ready.wait_for(lambda: items)
                got.append((name, items.pop(0)))
                ready.notify()

    def produce():
        for number in range(4):
            with ready:
                items.append(number)
                ready.notify()
            with ready:
                ready.wait(0.01)

    run_threads(produce, lambda: consume("x"), lambda: consume("y"))
    return got


def events_and_timers():
    seen, go = [], threading.Event()
    timers = [threading.Timer(delay, seen.append, (delay,)) for delay in (0.2, 0.1, 0.1)]
    for timer in timers:
        timer.start()
    timers[0].cancel()

    def body(name):
        seen.append((name, go.wait(0.1 if name == "a" else None), time.monotonic()))

    threads = [threading.Thread(target=body, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    go.set()
    for thread in (*threads, *timers):
        thread.join()
    return seen


def semaphores():
    order, few, bounded = [], threading.Semaphore(2), threading.BoundedSemaphore(1)

    def work(name):
        with few:
            order.append(name)
            if bounded.acquire(blocking=False):
                time.sleep(0.1)
                bounded.release()
        order.append(name.upper())

    run_threads(*[lambda name=name: work(name) for name in "abcd"])
    return "".join(order)


def barriers():
    order, barrier = [], threading.Barrier(3, action=lambda: order.append("|"))

    def work(name):
        for _ in range(2):
            order.append(name)
            if barrier.wait() == 0:
                order.append("0")

    run_threads(*[lambda name=name: work(name) for name in "abc"])
    return "".join(order)


def queues():
    boxes = [queue.Queue(1), queue.LifoQueue(), queue.PriorityQueue(2), queue.SimpleQueue()]
    got = []

    def put(base):
        for number in range(3):
            for box in boxes:
                box.put(base + number)

    def take():
        for _ in range(6):
            got.extend([box.get() for box in boxes])
            boxes[0].task_done()

    run_threads(lambda: put(0), lambda: put(10), take)
    boxes[0].join()
    return got


def executors():
    def work(number):
        time.sleep(random.choice((0, 0.1)))
        return number, threading.current_thread().name

    with ThreadPoolExecutor(2) as pool:
        first = list(pool.map(work, range(4)))
        futures = [pool.submit(work, number) for number in range(4, 7)]
        futures[0].add_done_callback(lambda future: first.append("called back"))
        futures[2].cancel()
        return first, [future.cancelled() or future.result() for future in futures]


def completions():
    with ThreadPoolExecutor(3, "fetch") as pool:
        futures = {pool.submit(time.sleep, seconds): seconds for seconds in (0.3, 0.1, 0.1)}
        done, _ = wait(futures, return_when=FIRST_COMPLETED)
        return [futures[future] for future in done], [futures[future] for future in as_completed(futures)]


class Worker(threading.Thread):
    """Derived, with its own run, and data of its own."""

    local = threading.local()

    def __init__(self, seen):
        super().__init__(daemon=True)
        self.seen = seen

    def run(self):
        for _ in range(2):
            self.local.count = getattr(self.local, "count", 0) + 1
            time.sleep(0)
            self.seen.append((self.name, self.local.count, threading.get_ident()))


def subclasses_and_locals():
    seen = []
    workers = [Worker(seen) for _ in range(3)]
    for worker in workers:
        worker.start()
    names = [thread.name for thread in threading.enumerate()[1:]]
    for worker in workers:
        worker.join()
    return seen, names


VARIABLE = contextvars.ContextVar("variable", default=0)


def event_loops():
    order = []

    async def tick(name, seconds):
        for _ in range(2):
            await asyncio.sleep(seconds)
            order.append((name, asyncio.current_task().get_name(), VARIABLE.get()))
        return await asyncio.to_thread(lambda: VARIABLE.get() + 1)

    async def main(name):
        VARIABLE.set(len(name))
        pending = {asyncio.create_task(tick(f"{name}{number}", 0.1)) for number in range(3)}
        done, _ = await asyncio.wait(pending)
        try:
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()
        except TimeoutError:
            order.append(f"{name} timed out")
        return [task.result() for task in done]

    run_threads(lambda: order.append(asyncio.run(main("a"))), lambda: order.append(asyncio.run(main("bb"))))
    return order


class Fan(Routine):
    """Sends what it gets three times."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.fan)
        self.define_event("out", ["number"])

    def fan(self, **kwargs):
        for number in range(3):
            self.emit("out", number=number)


class Collect(Routine):
    """Waits a while that depends on the number."""

    def __init__(self):
        super().__init__()
        self.define_slot("input", handler=self.collect)

    def collect(self, number):
        time.sleep(0.1 * (number % 2))


def flows():
    flow = Flow(execution_strategy="concurrent", max_workers=3)
    fan = flow.add_routine(Fan(), "fan")
    for name in ("left", "right"):
        flow.connect(fan, "out", flow.add_routine(Collect(), name), "input")
    job = flow.execute(fan)
    JobState.wait_for_completion(flow, job)
    flow.shutdown()
    return str(job.status)


def scheduled_calls():
    calls = []
    scheduler = sched.scheduler(time.monotonic, time.sleep)
    for delay, priority in ((2, 1), (1, 2), (1, 1)):
        scheduler.enter(delay, priority, calls.append, (f"{delay}.{priority}",))
    run_threads(scheduler.run, lambda: scheduler.enter(0.5, 1, calls.append, ("late",)))
    return calls, time.monotonic()


def randomness():
    drawn = []

    def draw():
        for _ in range(2):
            drawn.append((random.random(), random.randrange(10**6), str(uuid.uuid4()), secrets.token_hex(4)))
            drawn.append((random.Random(1).random(), random.sample(range(100), 3), random.gauss(0, 1)))
            time.sleep(0)

    run_threads(draw, draw)
    return drawn


def names():
    named = [threading.Thread(target=randomness), threading.Thread(name="given"), threading.Timer(1, print)]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1, "prefix") as two:
        pools = [pool.submit(lambda: threading.current_thread().name) for pool in (one, two)]
    return [thread.name for thread in named], [future.result() for future in pools]


def deadlock():
    one, two = threading.Lock(), threading.Lock()

    def both(first, second):
        with first:
            time.sleep(0.1)
            with second:
                pass

    run_threads(lambda: both(one, two), lambda: both(two, one))


def failure():
    counter = [0]

    def add():
        seen = counter[0]
        time.sleep(0)
        counter[0] = seen + 1

    run_threads(add, add, add)
    assert counter == [3], f"it is {counter[0]}"


PROGRAMS = (
    locks,
    conditions,
    events_and_timers,
    semaphores,
    barriers,
    queues,
    executors,
    completions,
    subclasses_and_locals,
    event_loops,
    flows,
    scheduled_calls,
    randomness,
    names,
    deadlock,
    failure,
)


def story(program, seed=7):
    """Everything that one seed decides, as bytes: log, decisions, and what came of it."""
    execution = simulate(program, seed=seed)
    decisions = "\n".join(
        f"{step.label} -> {step.value} of {step.bound}: {step.enabled}" for step in execution.schedule
    )
    end = f"{execution.value!r} {execution.kind} {type(execution.error).__name__} {execution.elapsed_ns}"
    return execution.log_bytes() + decisions.encode() + end.encode()
