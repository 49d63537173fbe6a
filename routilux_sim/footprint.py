"""What an execution was like, as far as schedules matter: a few numbers to tell it from others by.

Two executions are of one happens-before class when they differ only in the order of operations whose order does not
matter: each task does the same, and on each object the operations that depend on each other come in the same order. An
ordered conflicting pair is two such operations of different tasks, one right after the other: so few exist that seeing
no new ones for a long time says something.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.task import Task
from routilux_sim.kernel.trace import LOOKS, TASKS, address

if TYPE_CHECKING:
    from routilux_sim.kernel.trace import Trace

__all__ = ["Footprint", "footprint_of"]

UNSAID = frozenset({"wake", "due", "clock"})
"""Events that follow from others: whether a lock's next owner had to wait for it does not matter."""

LOOKS_KEPT = 8
"""So many looks at an object since it was changed are paired with the next change."""


KNOWN = 100_000
"""So many words are kept with their numbers."""


class _Numbers(dict[str, int]):
    """A number for each word: the same in every process, as that of ``hash`` is not."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN:
            self.clear()
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=7).digest()
        number = self[word] = int.from_bytes(digest, "big")
        return number


_numbers = _Numbers()


class Footprint(NamedTuple):
    """What an execution was like.

    Attributes:
        kind: A number for its happens-before class.
        pairs: A number for each of its ordered conflicting pairs, in the order in which they came.
    """

    kind: int
    pairs: tuple[int, ...]


def footprint_of(trace: Trace) -> Footprint:
    """Reduce a trace to what tells it from others; the same in every process."""
    # A number for all that has happened before a task's next operation, or before an object's.
    tasks: dict[int, int] = {}
    changed: dict[int, int] = {}
    # Since that: the looks at the object, in any order; and who did what to it last.
    looks: dict[int, int] = {}
    last: dict[int, list[tuple[int, str]]] = {}
    pairs: dict[int, None] = {}
    for task, op, obj in _said(trace):
        before = tasks.get(task, task)
        said = _numbers[op]
        if obj is None:
            tasks[task] = hash((before, said))
            continue
        key = address(obj)
        is_look = op in LOOKS
        if is_look:
            tasks[task] = done = hash((before, said, changed.get(key, 0)))
            looks[key] = looks.get(key, 0) + done
        else:
            changed[key] = tasks[task] = hash((before, said, changed.get(key, 0), looks.pop(key, 0)))
        if isinstance(obj, Task):
            # That it begins after it was made is no conflict.
            continue
        earlier = last.setdefault(key, [])
        for other, what in earlier:
            if other != task and not (is_look and what in LOOKS):
                pairs[hash((_numbers[label_of(obj)], other, _numbers[what], task, said))] = None
        if not is_look or len(earlier) >= LOOKS_KEPT:
            earlier.clear()
        earlier.append((task, op))
    return Footprint(hash(tuple(sorted(tasks.items()))), tuple(pairs))


def _said(trace: Trace) -> Iterator[tuple[int, str, Any]]:
    """The events that matter."""
    ended: set[int] = set()
    for task, op, obj, _, is_step in trace:
        if obj is TASKS or (op in UNSAID and not is_step):
            continue
        if op == "end":
            ended.add(address(obj))
        elif op == "join" and address(obj) not in ended:
            # Only once it has ended does it matter that somebody has waited for it.
            continue
        yield task, op, obj
