"""How much faster explorations are on several processes, and what is to be expected of more than this machine has.

On two processes it is measured: the schedules a second of both over twice those of one. For 16, 128 and 1,024 it is
computed, from parts that are measured here:

- what a schedule takes (``s``), and a second's chunk of them as bytes, there and back (``b``);
- what a chunk takes in the driver, which is serial: handing it out, taking it in and counting what is in it (``d``);
- what a call to an executor takes with nothing in it, there and back (``l``).

The code that deals schedules then deals those of a campaign to so many workers that do nothing but take ``s`` for
each, on a clock that is computed: a chunk begins when a worker is free and the driver has handed it out, which is half
of ``d``, and the next one is handed out when the driver has taken it in, which is the other half. What is serial for
other reasons is in there as it is: the first schedules, of which strategies learn, and the ends of the rounds, where
all wait for the last. So it is Amdahl's law with measured parts for its constants; as a rule of thumb, the driver keeps
``1 / d`` workers busy with chunks of a second.
"""

import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from heapq import heappop, heappush
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import simulated
from benchmarks.report import Figure
from routilux_sim import explore
from routilux_sim.campaigns.chunks import Chunk, Knowledge, run_chunk
from routilux_sim.campaigns.crews import AHEAD, Death, ExecutorCrew
from routilux_sim.campaigns.dealing import SECONDS
from routilux_sim.campaigns.files import CampaignFile, load_campaign
from routilux_sim.campaigns.parts import Part
from routilux_sim.campaigns.running import Keeper, run_share
from routilux_sim.campaigns.targets import Target, packed
from routilux_sim.coverage import Coverage
from routilux_sim.execution import Campaign
from routilux_sim.kernel.core import DEFAULT_EPOCH_NS, Limits
from routilux_sim.search import Search
from routilux_sim.strategy import make_strategy

CORES = (16, 128, 1024)
GOAL = 0.9

PROGRAM = simulated.page_flow

wall_clock = time.perf_counter


def figures(short: bool, show: Callable[[str], object] = print) -> list[Figure]:
    """Measure, then compute; ``show`` is told what is being done."""
    found = []
    if hasattr(os, "fork") and threading.active_count() == 1:
        show("exploring on two processes")
        found += efficiency(1_500 if short else 12_000, 2 if short else 5)
    else:
        reason = "not measured: this process has other threads, or its system cannot fork"
        found.append(Figure("2 processes: efficiency", None, "", GOAL, reason, at_least=True))
    show("measuring what chunks take")
    parts = measured(0.2 if short else SECONDS, 50 if short else 300)
    found += parts.figures()
    for cores in CORES:
        show(f"computing for {cores} cores")
        found += projected(parts, cores, 60.0 if short else 600.0)
    return found


def efficiency(schedules: int, turns: int) -> list[Figure]:
    """On two processes, against one, in turns; and of the two processes' time, how much they were inside chunks.

    The second does not depend on what else the machine has to do, as the first does.
    """
    found = []
    for strategy in ("mix", "random"):
        reached, inside = [], []
        for _ in range(turns):
            alone, _ = seconds_of_exploring(schedules, strategy, 1)
            together, in_chunks = seconds_of_exploring(schedules, strategy, 2)
            reached.append(alone / (2 * together))
            inside.append(in_chunks / (2 * together))
        found.append(Figure(f"{strategy}, 2 processes: efficiency", median(reached), "", GOAL, _load(), at_least=True))
        found.append(Figure("  of their time, so much is in chunks", median(inside), "", GOAL, at_least=True))
    return found


def seconds_of_exploring(schedules: int, strategy: str, workers: int) -> tuple[float, float]:
    """What it takes by the clock, and what all chunks have taken together."""
    with TemporaryDirectory() as folder:
        options = {"campaign_file": Path(folder) / "campaign.json"} if workers > 1 else {}
        began = wall_clock()
        explore(PROGRAM, schedules=schedules, strategy=strategy, workers=workers, **options)
        seconds = wall_clock() - began
        parts = load_campaign(options["campaign_file"]).parts if options else []
    return seconds, sum(part.seconds for part in parts)


def _load() -> str:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"on a machine with a load of {load:.1f}" if load > (os.cpu_count() or 1) else ""


class Measured:
    """What there is to compute with.

    Attributes:
        schedule: Seconds that a schedule takes.
        driver: Seconds that a chunk takes in the driver.
        call: Seconds that a call with nothing in it takes, there and back.
        sent, received: Bytes of a chunk.
    """

    def __init__(self, schedule: float, driver: float, call: float, sent: int, received: int) -> None:
        self.schedule = schedule
        self.driver = driver
        self.call = call
        self.sent = sent
        self.received = received

    def figures(self) -> list[Figure]:
        """The parts, one by one."""
        return [
            Figure("a schedule (s)", self.schedule * 1e6, "us"),
            Figure("a chunk in the driver (d)", self.driver * 1e6, "us", 10_000),
            Figure("a call with nothing in it (l)", self.call * 1e6, "us"),
            Figure("  so the driver keeps busy at most", SECONDS / self.driver, "cores"),
            Figure("a chunk, on its way there (b)", self.sent, "bytes"),
            Figure("  and on its way back", self.received, "bytes"),
        ]


def measured(seconds: float, calls: int) -> Measured:
    """Run a chunk of so many seconds, and have it sent and counted so many times."""
    target = packed(Target(None, PROGRAM, os.getcwd(), Limits(), DEFAULT_EPOCH_NS, "auto", None, None, (), log=False))
    knowledge = Knowledge(pickle.dumps(make_strategy("mix")), frozenset(), 0, 1 << 40)
    # What is done the first time only is no schedule's.
    run_chunk(target, knowledge, Chunk(256, 300))
    part = run_chunk(target, knowledge, Chunk(256, 1 << 30, seconds))
    if not part.count:
        raise RuntimeError("no schedule has run in the time there was")
    answer = pickle.dumps(part)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pool.submit(_echo, answer, target, knowledge, Chunk(0, 1)).result()
        began = wall_clock()
        for _ in range(calls):
            pool.submit(_nothing).result()
        call = (wall_clock() - began) / calls
        spent = time.process_time()
        for _ in range(calls):
            pool.submit(_echo, answer, target, knowledge, Chunk(0, 1)).result()
        sending = (time.process_time() - spent) / calls
        # `_echo` takes the answer there as well, which a chunk does not.
        spent = time.process_time()
        for _ in range(calls):
            pickle.dumps(answer)
        sending -= (time.process_time() - spent) / calls
    sent = len(pickle.dumps((target, knowledge, Chunk(0, 1))))
    return Measured(part.seconds / part.count, sending + counting(part, calls), call, sent, len(answer))


def counting(part: Part, times: int) -> float:
    """Processor seconds of the driver for keeping a part and counting what is in it."""
    keeper = Keeper(CampaignFile("program", None, {}, (1, 1), 0, times * part.count), None, None)
    parts = []
    for place in range(times):
        copy = deepcopy(part)
        copy.first, copy.end = place * part.count, (place + 1) * part.count
        parts.append(copy)
    coverage = Coverage()
    began = time.process_time()
    for each in parts:
        keeper.take(each)
    keeper.gather()
    for each in keeper.kept.parts:
        coverage.add_all(each.kinds, each.pairs)
    return (time.process_time() - began) / times


def _nothing() -> None:
    pass


def _echo(answer: bytes, *_: object) -> object:
    return pickle.loads(answer)  # noqa: S301 - made a moment ago


class Computed:
    """A crew on a clock that is computed: its workers take what was measured, and so does the driver.

    Attributes:
        now: Seconds since the beginning, for the driver.
        places, least: As for every crew.
    """

    least = ExecutorCrew.least

    def __init__(self, parts: Measured, cores: int) -> None:
        self._parts = parts
        self._free = [0.0] * cores
        self._done: list[tuple[float, int, Part]] = []
        self.now = 0.0
        self.places = AHEAD * cores

    def give(self, key: int, knowledge: Knowledge, chunk: Chunk) -> None:
        """See `Crew`."""
        self.now += self._parts.driver / 2
        begins = max(self.now + self._parts.call / 2, heappop(self._free))
        part = Part(chunk.first, chunk.end)
        part.seconds = part.count * self._parts.schedule
        heappush(self._free, begins + part.seconds)
        heappush(self._done, (begins + part.seconds + self._parts.call / 2, key, part))

    def take(self, timeout: float | None) -> tuple[int, Part] | Death | None:
        """See `Crew`."""
        at, key, part = heappop(self._done)
        self.now = max(self.now, at) + self._parts.driver / 2
        return key, part

    def close(self) -> None:
        """See `Crew`."""


def projected(parts: Measured, cores: int, seconds: float) -> list[Figure]:
    """What becomes of a campaign that keeps so many cores busy for so many seconds, if all goes ideally."""
    schedules = int(seconds * cores / parts.schedule)
    campaign = Campaign(PROGRAM, instrument="auto")
    search = Search(campaign, make_strategy("mix"), 0, schedules, lambda: False, False)
    crew = Computed(parts, cores)
    keeper = Keeper(CampaignFile("program", None, {}, (1, 1), 0, schedules), None, None)
    shared = run_share(search, crew, keeper, lambda: None)
    assert sum(part.count for part in shared.parts) == schedules
    note = f"{schedules / crew.now:,.0f} schedules/s, {shared.chunks:,} chunks in {crew.now:,.0f} s"
    reached = schedules * parts.schedule / (cores * crew.now)
    return [
        Figure(f"{cores:,} cores: efficiency, computed", reached, "", note=note),
        Figure("  of its time, the driver is busy", shared.chunks * parts.driver / crew.now, ""),
    ]
