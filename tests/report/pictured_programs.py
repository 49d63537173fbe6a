"""Programs that are drawn."""

import asyncio
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from routilux import Flow, Routine

LEFT = threading.Lock()
RIGHT = threading.Lock()


def run(*targets, names=None):
    threads = [
        threading.Thread(target=target, name=names[index] if names else f"worker-{index}")
        for index, target in enumerate(targets)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def left_first():
    with LEFT, RIGHT:
        pass


def right_first():
    with RIGHT, LEFT:
        pass


def two_locks():
    """Deadlocks if each has its first lock."""
    run(left_first, right_first, names=("one", "other"))


def in_order():
    run(left_first, left_first)


class Tally:
    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1


def lost_update():
    tally = Tally()
    run(tally.add, tally.add)
    assert tally.value == 2, f"{tally.value} of 2"


def conversation():
    """Queues, events, conditions with deadlines, and sleeping."""
    letters = queue.Queue(1)
    ready = threading.Event()
    condition = threading.Condition()

    def write():
        ready.wait(1)
        for number in range(3):
            letters.put(number)
            time.sleep(0.5)

    def read():
        ready.set()
        for _ in range(3):
            letters.get()
        with condition:
            condition.notify_all()

    def wait():
        with condition:
            condition.wait(0.25)

    run(write, read, wait)


def loops():
    """An event loop that is called into from another thread, yields, and a pool."""

    async def talk():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(answer.set_result, 1))
        thread.start()
        await asyncio.gather(asyncio.sleep(0.5), answer)
        thread.join()

    def work():
        for _ in range(3):
            time.sleep(0)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(work)
        pool.submit(asyncio.run, talk()).result()


EVIL = '</script><img src=x onerror="window.hacked=1"><b>&amp;\'\u2028\x1b[31m'


def evil():
    """Everything that is named has a name that would be something else in a page."""

    def work():
        raise ValueError(EVIL)

    flow = Flow(EVIL)
    routine = Routine()
    routine.define_slot("trigger", handler=lambda: None)
    flow.add_routine(routine, EVIL)
    with flow:
        flow.wait_for(flow.execute(EVIL))
    thread = threading.Thread(target=work, name=EVIL)
    thread.start()
    thread.join()


class Twice(Routine):
    def __init__(self):
        super().__init__()
        self.trigger = self.define_slot("trigger", handler=self.go)
        self.sent = self.define_event("sent", ["number"])

    def go(self):
        time.sleep(0.25)
        for number in range(2):
            self.emit("sent", number=number)


class Desk(Routine):
    def __init__(self):
        super().__init__()
        self.received = self.define_slot("received", handler=self.take)

    def take(self, number):
        time.sleep(1)


def flow():
    made = Flow("letters")
    made.add_routine(Twice(), "sender")
    made.add_routine(Desk(), "desk")
    made.connect("sender", "sent", "desk", "received")
    with made:
        made.wait_for(made.execute("sender"))


class Forward(Routine):
    """Hands a number on, one less, until it is 0."""

    def __init__(self):
        super().__init__()
        for slot in ("trigger", "received"):
            self.define_slot(slot, handler=self.hand_on)
        self.define_event("sent", ["number"])

    def hand_on(self, number):
        if number:
            self.emit("sent", number=number - 1)


def circle():
    """Three routines, of which the last sends to the first."""
    made = Flow("circle")
    names = ("third", "first", "second")
    for name in names:
        made.add_routine(Forward(), name)
    for source, target in (("first", "second"), ("second", "third"), ("third", "first")):
        made.connect(source, "sent", target, "received")
    with made:
        made.wait_for(made.execute("first", {"number": 4}))


def busy():
    """More than ten thousand steps."""
    lock = threading.Lock()

    def work():
        for number in range(900):
            with lock:
                pass
            if not number % 30:
                time.sleep(0.01)

    run(*[work] * 6)
    raise AssertionError("in the end")
