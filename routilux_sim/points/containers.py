"""Which operations on built-in containers read and which write: methods, functions, and kinds of iterators.

Only facts about CPython's own types; nothing of how operations are found or what is made of them.
"""

from __future__ import annotations

import array
import itertools
from collections import deque
from types import FunctionType
from typing import Any

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "OUTER_ITERATORS",
    "OWN_ITERATORS",
    "READ",
    "VIEWS",
    "WRITE",
    "is_container",
    "is_iterator",
    "override",
]

READ, WRITE = "read", "write"

CONTAINERS = (list, dict, set, deque, bytearray, array.array)

_READING_METHODS = """
    index count copy get keys values items union intersection difference symmetric_difference issubset issuperset
    isdisjoint most_common elements total tolist tobytes join find rfind decode startswith endswith hex
    __getitem__ __contains__ __len__ __iter__ __reversed__ __copy__
"""
_WRITING_METHODS = """
    append appendleft extend extendleft insert remove pop popleft popitem clear sort reverse rotate update setdefault
    move_to_end add discard difference_update intersection_update symmetric_difference_update subtract
    frombytes fromlist byteswap
    __setitem__ __delitem__ __iadd__ __ior__ __isub__ __iand__
"""
_READING_FUNCTIONS = """
    len sorted list sum max min any all tuple set frozenset dict iter bool reversed enumerate zip repr str bytes
    bytearray deque deepcopy nlargest nsmallest bisect bisect_left bisect_right choice sample
"""
_WRITING_FUNCTIONS = "next heappush heappop heapify heappushpop heapreplace insort insort_left insort_right shuffle"

METHODS: dict[str, str] = {
    **dict.fromkeys(_READING_METHODS.split(), READ),
    **dict.fromkeys(_WRITING_METHODS.split(), WRITE),
}
"""What methods of containers do to the container, by name."""

FUNCTIONS: dict[str, str] = {
    **dict.fromkeys(_READING_FUNCTIONS.split(), READ),
    **dict.fromkeys(_WRITING_FUNCTIONS.split(), WRITE),
}
"""What functions do to their first argument, by name, if that is a container or an iterator."""

_mapping: dict[Any, Any] = {}

VIEWS: tuple[type, ...] = (type(_mapping.keys()), type(_mapping.values()), type(_mapping.items()))
"""What shows a dictionary, and is read when that is."""

_STEPPING: tuple[Any, ...] = (
    iter([]),
    reversed([]),
    iter(_mapping.keys()),
    iter(_mapping.values()),
    iter(_mapping.items()),
    reversed(_mapping.keys()),
    reversed(_mapping.values()),
    reversed(_mapping.items()),
    iter(set()),
    iter(deque()),
    reversed(deque()),
    iter(bytearray()),
    iter(array.array("b")),
)

OWN_ITERATORS = frozenset(map(type, _STEPPING))
"""Iterators that read a container at each step, which they refer to."""

OUTER_ITERATORS = frozenset((enumerate, zip, map, filter, itertools.islice, itertools.chain, itertools.takewhile))
"""Iterators over iterators, which they refer to."""

_HEAP_TYPE = 1 << 9

_kinds: dict[type, bool] = {}


def is_container(kind: type) -> bool:
    """Whether a type is a mutable built-in container, or derived from one."""
    found = _kinds.get(kind)
    if found is None:
        found = issubclass(kind, CONTAINERS)
        if not kind.__flags__ & _HEAP_TYPE:
            # Only types that never go away.
            _kinds[kind] = found
    return found


def is_iterator(kind: type) -> bool:
    """Whether objects of a type are iterators written in C or generators: one step of theirs is one operation."""
    function = getattr(kind, "__next__", None)
    return function is not None and not isinstance(function, FunctionType)


def override(kind: type, name: str) -> Any:
    """The function written in Python that a container's type has for a method, or None."""
    for base in kind.__mro__:
        found = vars(base).get(name)
        if found is not None:
            return found if isinstance(found, FunctionType) else None
    return None
