"""Stacks, rings and deques of one's own."""

from __future__ import annotations

import threading

from tests.quality.patterns._pattern import Pattern, in_threads


class Cell:
    """A memory cell with an atomic compare-and-swap, which is a lock around two lines in Python."""

    def __init__(self, value):
        self.value = value
        self._lock = threading.Lock()

    def swap(self, expected, value):
        """Replace ``expected`` by ``value``; say whether it was there."""
        with self._lock:
            if self.value is not expected:
                return False
            self.value = value
            return True

    def exchange(self, value):
        """Put ``value`` in; return what was there."""
        with self._lock:
            before, self.value = self.value, value
            return before


class StackByIndex(Pattern):
    """A stack's top is raised before the item is there: a pop finds an empty place."""

    source = "SCTBench CS/stack"

    def __init__(self):
        self.places = [None, None]
        self.top = 0

    def push(self, item):
        self.top += 1
        self.places[self.top - 1] = item

    def pop(self):
        if self.top:
            self.top -= 1
            assert self.places[self.top] is not None

    def run(self):
        in_threads(lambda: self.push(1), self.pop)


class StackLocked(StackByIndex):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def push(self, item):
        with self.lock:
            super().push(item)

    def pop(self):
        with self.lock:
            super().pop()


class Node:
    """An element of a linked list."""

    def __init__(self, name, following=None):
        self.name = name
        self.next = following


class AbaStack(Pattern):
    """A pop swaps the top for the one below it; the top is the same again, but what was below it has been taken."""

    source = "SCTBench, CHESS: the ABA problem"
    memory = False

    def __init__(self):
        self.lower = Node("lower")
        self.upper = Node("upper", self.lower)
        self.top = Cell(self.upper)
        self.taken = []

    def push(self, node):
        while True:
            node.next = self.top.value
            if self.top.swap(node.next, node):
                return

    def pop(self):
        while True:
            top = self.top.value
            if top is None:
                return None
            below = top.next
            if self.top.swap(top, below):
                return top

    def again(self, node):
        """What is pushed for a node that was popped."""
        return node

    def pop_one(self):
        node = self.pop()
        if node is not None:
            self.taken.append(node.name)

    def pop_two_and_push_one(self):
        upper, lower = self.pop(), self.pop()
        if lower is not None:
            self.taken.append(lower.name)
        if upper is not None:
            self.push(self.again(upper))

    def run(self):
        in_threads(self.pop_one, self.pop_two_and_push_one)
        while (node := self.pop()) is not None:
            self.taken.append(node.name)
        assert sorted(self.taken) == ["lower", "upper"]


class StackOfFreshNodes(AbaStack):
    def again(self, node):
        return Node(node.name)


class CircularBuffer(Pattern):
    """A producer and a consumer keep the places of their own, and the count together."""

    source = "SCTBench CS/circular_buffer"

    def __init__(self):
        self.places = [None] * 3
        self.count = self.first = self.last = 0

    def put(self, item):
        if self.count < 3:
            self.places[self.last] = item
            self.last = (self.last + 1) % 3
            self.add(1)

    def get(self):
        if self.count:
            item = self.places[self.first]
            self.first = (self.first + 1) % 3
            self.add(-1)
            return item
        return None

    def add(self, change):
        self.count += change

    def run(self):
        self.put("a")
        in_threads(lambda: self.put("b"), self.get)
        left = [self.get(), self.get()]
        assert left == ["b", None]


class CircularBufferLocked(CircularBuffer):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def add(self, change):
        with self.lock:
            super().add(change)


class WorkStealing(Pattern):
    """The owner pops the last item while a thief takes the same one: neither sees the other's index yet."""

    source = "CHESS: work-stealing queue"

    def __init__(self):
        self.items = ["a"]
        self.head = 0
        self.tail = 1
        self.lock = threading.Lock()
        self.done = []

    def pop(self):
        tail = self.tail - 1
        if self.head <= tail:
            self.tail = tail
            return self.items[tail]
        return None

    def steal(self):
        with self.lock:
            if self.head < self.tail:
                self.head += 1
                return self.items[self.head - 1]
        return None

    def work(self, take):
        item = take()
        if item is not None:
            self.done.append(item)

    def run(self):
        in_threads(lambda: self.work(self.pop), lambda: self.work(self.steal))
        assert self.done == ["a"]


class WorkStealingThe(WorkStealing):
    """Announces first, looks then, and settles what is in doubt under the lock (Cilk's THE protocol)."""

    def pop(self):
        self.tail -= 1
        if self.head <= self.tail:
            return self.items[self.tail]
        self.tail += 1
        with self.lock:
            if self.head < self.tail:
                self.tail -= 1
                return self.items[self.tail]
        return None

    def steal(self):
        with self.lock:
            self.head += 1
            if self.head <= self.tail:
                return self.items[self.head - 1]
            self.head -= 1
        return None


class InterlockedSteal(Pattern):
    """A thief reads the item and moves the head, without a lock: two thieves take the same one."""

    source = "CHESS: InterlockedWorkStealQueue"

    def __init__(self):
        self.items = ["a", "b"]
        self.head = Cell(0)
        self.done = []

    def steal(self):
        head = self.head.value
        if head < len(self.items):
            self.head.value = head + 1
            self.done.append(self.items[head])

    def run(self):
        in_threads(self.steal, self.steal)
        assert sorted(self.done) == ["a", "b"]


class StealBySwap(InterlockedSteal):
    def steal(self):
        while (head := self.head.value) < len(self.items):
            if self.head.swap(head, head + 1):
                self.done.append(self.items[head])
                return


class FileSystem(Pattern):
    """Each file locks itself while it looks for a free block; two files find the same one."""

    source = "SCTBench CS/fsbench"

    def __init__(self):
        self.blocks = [None, None, None]
        self.inodes = {"a": threading.Lock(), "b": threading.Lock()}
        self.table = threading.Lock()

    def allocate(self, name):
        for place, owner in enumerate(self.blocks):
            if owner is None:
                self.blocks[place] = name
                return

    def create(self, name):
        with self.inodes[name]:
            self.allocate(name)

    def run(self):
        in_threads(lambda: self.create("a"), lambda: self.create("b"))
        assert set(self.blocks) == {"a", "b", None}


class FileSystemLocked(FileSystem):
    def allocate(self, name):
        with self.table:
            super().allocate(name)


class LinkedListInsert(Pattern):
    """Two threads insert after the same node, and one of the new nodes is not in the list."""

    source = "JaConTeBe: groovy's ManagedLinkedList"
    small = True

    def __init__(self):
        self.head = Node("head")

    def insert(self, name):
        self.head.next = Node(name, self.head.next)

    def run(self):
        in_threads(lambda: self.insert("a"), lambda: self.insert("b"))
        names = []
        node = self.head.next
        while node is not None:
            names.append(node.name)
            node = node.next
        assert sorted(names) == ["a", "b"]


class LinkedListLocked(LinkedListInsert):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def insert(self, name):
        with self.lock:
            super().insert(name)


class SafeStack(Pattern):
    """A lock-free stack of free indices that counts before it links: three threads, each taking two, share one."""

    source = "SCTBench misc/safestack"
    depth = 5
    challenge = True
    threads = 3

    def __init__(self):
        self.next = [Cell(1), Cell(2), Cell(-1)]
        self.head = Cell(0)
        self.count = 3
        self.lock = threading.Lock()
        self.owner = [None, None, None]

    def pop(self):
        while self.count > 1:
            head = self.head.value
            following = self.next[head].exchange(-1)
            if following >= 0:
                if self.head.swap(head, following):
                    with self.lock:
                        self.count -= 1
                    return head
                self.next[head].exchange(following)
        return -1

    def push(self, index):
        head = self.head.value
        while True:
            self.next[index].exchange(head)
            if self.head.swap(head, index):
                break
            head = self.head.value
        with self.lock:
            self.count += 1

    def work(self, me):
        for _ in range(2):
            index = self.pop()
            if index < 0:
                return
            self.owner[index] = me
            assert self.owner[index] == me
            self.push(index)

    def run(self):
        in_threads(*(lambda me=me: self.work(me) for me in range(self.threads)))


class SafeStackLocked(SafeStack):
    def __init__(self):
        super().__init__()
        self.whole = threading.Lock()

    def pop(self):
        with self.whole:
            return super().pop()

    def push(self, index):
        with self.whole:
            super().push(index)
