"""The routine that flows of the properties are made of: it does what the model says, and records what was done to it.

A recording belongs to one run of a program, on whatever threads; it is appended to in single steps, which need no lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from routilux import ErrorHandler, Flow, Routine

from .model import EVENTS, Fault, Graph, Node, Policy, Step, emitted, job_of, steps


class PlannedError(Exception):
    """What handlers raise."""


class Recording:
    """What handlers saw and did in one run of a program.

    Args:
        nap: Lets so many milliseconds pass.
        haste: What delays before retries are divided by.

    Attributes:
        runs: Attempts in the order in which they began: routine, slot, token, attempt.
        emits: Emitting routine, event, token.
        deferred: Tokens of deferred events.
        snapshots: What merging slots were given, by job and routine.
        running: One entry for each handler under way, by job.
        inside: The same, by routine and flow, for the slot whose activations take turns.
        broken: What was seen that must not be.
    """

    def __init__(self, nap: Any, haste: float = 1.0) -> None:
        self.nap = nap
        self.haste = haste
        self.attempts: dict[tuple[int, str, str], list[None]] = {}
        self.runs: list[tuple[int, str, str, int]] = []
        self.emits: list[tuple[int, str, str]] = []
        self.deferred: list[str] = []
        self.snapshots: dict[tuple[int, int], list[tuple[str, ...]]] = {}
        self.running: dict[int, list[str]] = {}
        self.inside: dict[tuple[int, int], list[str]] = {}
        self.broken: list[str] = []

    @contextmanager
    def attempt(self, routine: int, slot: str, token: str) -> Iterator[int]:
        """Note an attempt, and which it is."""
        key = (routine, slot, token)
        tries = self.attempts.setdefault(key, [])
        tries.append(None)
        number = len(tries)
        self.runs.append((*key, number))
        running = self.running.setdefault(job_of(token), [])
        running.append(token)
        try:
            yield number
        finally:
            running.remove(token)

    @contextmanager
    def turn(self, flow: Flow, routine: int, token: str) -> Iterator[None]:
        """Note who has a turn, and that nobody else does."""
        inside = self.inside.setdefault((id(flow), routine), [])
        inside.append(token)
        if len(inside) > 1:
            self.broken.append(f"routine {routine} had these at a time in a slot that takes turns: {inside}")
        try:
            yield
        finally:
            inside.remove(token)


current: Recording
"""The recording of the program under way."""


def begin(nap: Any, haste: float = 1.0) -> Recording:
    """Start a new recording."""
    global current  # noqa: PLW0603 - routines that are made from a document find it by themselves
    current = Recording(nap, haste)
    return current


class Worker(Routine):
    """One routine of a graph, made from its configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.take)
        self.define_slot("gather", handler=self.take_all, merge_strategy="append")
        self.define_slot("turn", handler=self.take_turn, max_concurrency=1)
        self.define_slot("coro", handler=self.take_async)
        for event in EVENTS:
            self.define_event(event, ["token", "hops", "spare"])

    @property
    def number(self) -> int:
        number: int = self.get_config("number")
        return number

    def take(self, token: str, hops: int) -> None:
        self.do("trigger", token, hops)

    def take_all(self, token: list[str], hops: list[int]) -> None:
        current.snapshots.setdefault((job_of(token[-1]), self.number), []).append(tuple(token))
        self.do("gather", token[-1], hops[-1])

    def take_turn(self, token: str, hops: int) -> None:
        found = self.get_execution_context()
        with current.turn(found.flow, self.number, token):
            self.do("turn", token, hops)

    async def take_async(self, token: str, hops: int) -> None:
        import asyncio  # noqa: PLC0415 - only programs with this slot

        await asyncio.sleep(0)
        self.do("coro", token, hops)

    def do(self, slot: str, token: str, hops: int) -> None:
        recording = current
        node = node_from(self.get_config("node"))
        with recording.attempt(self.number, slot, token) as attempt:
            if slot != "coro":
                recording.nap(node.nap_ms)
            for step in steps(node, self.number, slot, token, hops, attempt):
                self.do_step(recording, step, hops)

    def do_step(self, recording: Recording, step: Step, hops: int) -> None:
        if step.name == "emit":
            recording.emits.append((self.number, step.event, step.token))
            self.emit(step.event, **emitted(step.token, hops - 1))
        elif step.name == "defer":
            recording.deferred.append(step.token)
            self.emit_deferred_event(step.event, **emitted(step.token, hops - 1))
        elif step.name == "pause":
            found = self.get_execution_context()
            found.flow.pause(found.job_state, "by a handler")
        else:
            raise PlannedError(step.token)


def node_from(data: Any) -> Node:
    """The node in a configuration, which may have been through JSON."""
    fanout, policy, fault, *figures = data
    return Node(
        tuple(fanout), None if policy is None else Policy(*policy), None if fault is None else Fault(*fault), *figures
    )


def node_to(node: Node) -> list[Any]:
    """A node as plain data."""
    fanout, policy, fault, *figures = node
    return [list(fanout), None if policy is None else list(policy), None if fault is None else list(fault), *figures]


def error_handler(policy: Policy | None) -> ErrorHandler | None:
    """The error handler that a policy describes."""
    if policy is None:
        return None
    delay = policy.delay_ms / 1000 / current.haste
    return ErrorHandler(policy.strategy, policy.retries, retry_delay=delay, retry_backoff=1.0)


def build(graph: Graph, **options: Any) -> Flow:
    """The flow that a graph describes."""
    flow = Flow("machine", execution_timeout=None, **options)
    for number, node in enumerate(graph.nodes):
        routine = Worker()
        routine.set_config(number=number, node=node_to(node))
        routine.set_error_handler(error_handler(node.policy))
        flow.add_routine(routine, f"r{number}")
    for edge in graph.edges:
        mapping = {"spare": "token"} if edge.renamed else None
        flow.connect(f"r{edge.source}", edge.event, f"r{edge.target}", edge.slot, mapping)
    return flow


def sleep(milliseconds: int) -> None:
    """Let time pass in a simulation."""
    time.sleep(milliseconds / 1000)


def give_way(_milliseconds: int) -> None:
    """Let other threads have a turn."""
    time.sleep(0)
