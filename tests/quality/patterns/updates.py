"""Read, compute, write back: what another thread wrote in between is lost, or what was read no longer holds."""

from __future__ import annotations

import threading

from tests.quality.patterns._pattern import Pattern, in_threads


class LostUpdate(Pattern):
    """Two threads add to an attribute; one reads it before the other has written it back."""

    source = "RADBench, SCTBench: the plain data race"
    small = True

    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1

    def run(self):
        in_threads(self.add, self.add)
        assert self.value == 2


class LockedUpdate(LostUpdate):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def add(self):
        with self.lock:
            super().add()


served = 0


class LostUpdateOfGlobal(Pattern):
    """Two threads count in a global variable; one of the requests is not counted."""

    source = "Python"
    small = True

    def serve(self):
        global served  # noqa: PLW0603 - the bug is about it
        served += 1

    def run(self):
        global served  # noqa: PLW0603 - likewise
        served = 0
        in_threads(self.serve, self.serve)
        assert served == 2


class LockedUpdateOfGlobal(LostUpdateOfGlobal):
    def __init__(self):
        self.lock = threading.Lock()

    def serve(self):
        with self.lock:
            super().serve()


class LostUpdateOfNonlocal(Pattern):
    """Two threads count in a variable of the function around them."""

    source = "Python"
    small = True

    def run(self):
        hits = 0

        def hit():
            nonlocal hits
            hits += 1

        in_threads(hit, hit)
        assert hits == 2


class LockedUpdateOfNonlocal(LostUpdateOfNonlocal):
    def run(self):
        hits = 0
        lock = threading.Lock()

        def hit():
            nonlocal hits
            with lock:
                hits += 1

        in_threads(hit, hit)
        assert hits == 2


class LostUpdateOfDictItem(Pattern):
    """Two threads count words in one dictionary."""

    source = "Python"

    def __init__(self):
        self.counts = {}

    def count(self, words):
        for word in words:
            self.add(word)

    def add(self, word):
        self.counts[word] = self.counts.get(word, 0) + 1

    def run(self):
        in_threads(lambda: self.count(["to", "be"]), lambda: self.count(["be", "it"]))
        assert self.counts == {"to": 1, "be": 2, "it": 1}


class LockedUpdateOfDictItem(LostUpdateOfDictItem):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def add(self, word):
        with self.lock:
            super().add(word)


class WrongLock(Pattern):
    """Readers and writers of a value lock, but not the same lock."""

    source = "SCTBench CS/wronglock"

    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()
        self.other = threading.Lock()

    def increment(self):
        with self.lock:
            before = self.value
            self.value += 1
            assert self.value == before + 1

    def double(self):
        with self.other:
            self.value += 2

    def run(self):
        in_threads(self.increment, self.double, self.double)


class RightLock(WrongLock):
    def __init__(self):
        super().__init__()
        self.other = self.lock


class Account(Pattern):
    """Two withdrawals each find enough money, and overdraw the account together."""

    source = "SCTBench CS/account"
    small = True

    def __init__(self):
        self.balance = 100

    def withdraw(self):
        if self.balance >= 70:
            self.balance -= 70

    def run(self):
        in_threads(self.withdraw, self.withdraw)
        assert self.balance == 30


class LockedAccount(Account):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def withdraw(self):
        with self.lock:
            super().withdraw()


class Transfer(Pattern):
    """Each account is locked while it is changed, but an audit between the two changes finds money missing."""

    source = "SCTBench CS/twostage, JaConTeBe: atomicity over two locks"
    memory = False

    def __init__(self):
        self.accounts = {"a": 100, "b": 100}
        self.locks = {"a": threading.Lock(), "b": threading.Lock()}

    def transfer(self):
        with self.locks["a"]:
            self.accounts["a"] -= 30
        with self.locks["b"]:
            self.accounts["b"] += 30

    def audit(self):
        with self.locks["a"], self.locks["b"]:
            assert sum(self.accounts.values()) == 200

    def run(self):
        in_threads(self.transfer, self.audit)


class TransferUnderBothLocks(Transfer):
    def transfer(self):
        with self.locks["a"], self.locks["b"]:
            self.accounts["a"] -= 30
            self.accounts["b"] += 30


class TwoStage(Pattern):
    """A second value is to follow the first, each under a lock of its own; a reader comes between the stages."""

    source = "SCTBench CS/twostage"
    memory = False

    def __init__(self):
        self.first = self.second = 0
        self.first_lock = threading.Lock()
        self.second_lock = threading.Lock()

    def write(self):
        with self.first_lock:
            self.first = 1
        with self.second_lock:
            self.second = self.first + 1

    def read(self):
        with self.first_lock:
            first = self.first
        with self.second_lock:
            assert not first or self.second == first + 1

    def run(self):
        in_threads(self.write, self.read)


class OneStage(TwoStage):
    def write(self):
        with self.first_lock, self.second_lock:
            self.first = 1
            self.second = self.first + 1


class ArithmeticProgression(Pattern):
    """Two threads add the terms of a series to one sum, and lock only while they take the next term."""

    source = "SCTBench CS/arithmetic_prog"

    def __init__(self):
        self.term = self.total = 0
        self.lock = threading.Lock()

    def add_terms(self):
        while True:
            with self.lock:
                if self.term == 4:
                    return
                self.term += 1
                term = self.term
            self.total += term

    def run(self):
        in_threads(self.add_terms, self.add_terms)
        assert self.total == 1 + 2 + 3 + 4


class LockedArithmeticProgression(ArithmeticProgression):
    def add_terms(self):
        while True:
            with self.lock:
                if self.term == 4:
                    return
                self.term += 1
                self.total += self.term


class TokenBucket(Pattern):
    """Two callers see the last token of a rate limiter, and both go."""

    source = "Python: rate limiters"

    def __init__(self):
        self.tokens = 2
        self.gone = []

    def go(self, name):
        if self.take():
            self.gone.append(name)

    def take(self):
        left = self.tokens
        if left == 0:
            return False
        self.tokens = left - 1
        return True

    def run(self):
        in_threads(*(lambda name=name: self.go(name) for name in "abc"))
        assert len(self.gone) == 2


class LockedTokenBucket(TokenBucket):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def take(self):
        with self.lock:
            return super().take()


class LastOneOut(Pattern):
    """Whoever brings the number of open tasks to zero closes the job; two see zero, and it is closed twice."""

    source = "RADBench bug 6, engines that count open tasks"

    def __init__(self):
        self.open = 2
        self.closed = 0

    def finish(self):
        self.open -= 1
        if self.open == 0:
            self.closed += 1

    def run(self):
        in_threads(self.finish, self.finish)
        assert self.closed == 1


class LockedLastOneOut(LastOneOut):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def finish(self):
        with self.lock:
            super().finish()


class PatchedTwice(Pattern):
    """Two threads replace a setting for a while and put back what they found: one finds the other's replacement."""

    source = "Python: mock.patch, warnings.catch_warnings, os.chdir"
    depth = 2

    def __init__(self):
        self.level = "info"

    def quietly(self):
        before = self.level
        self.level = "error"
        try:
            self.work()
        finally:
            self.level = before

    def work(self):
        pass

    def run(self):
        in_threads(self.quietly, self.quietly)
        assert self.level == "info"


class PatchedInTurn(PatchedTwice):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def quietly(self):
        with self.lock:
            super().quietly()


class SavedProgress(Pattern):
    """A download saves how far it is while a part goes on: the sum and the parts it is the sum of do not agree."""

    source = "SCTBench CB/aget"

    def __init__(self):
        self.parts = [0, 0]
        self.total = 0
        self.saved = None

    def receive(self, part):
        for _ in range(2):
            self.parts[part] += 10
            self.total += 10

    def save(self):
        self.saved = self.total, sum(self.parts)

    def run(self):
        in_threads(lambda: self.receive(0), self.save)
        total, parts = self.saved
        assert total == parts


class SavedInOneGo(SavedProgress):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def receive(self, part):
        for _ in range(2):
            with self.lock:
                self.parts[part] += 10
                self.total += 10

    def save(self):
        with self.lock:
            super().save()


class TokenRing(Pattern):
    """Values are handed on along a ring, each step under the lock; nothing keeps the steps in their order."""

    source = "SCTBench CS/token_ring"
    memory = False
    depth = 0

    def __init__(self):
        self.values = [1, 1, 1]
        self.lock = threading.Lock()

    def hand_on(self, place):
        with self.lock:
            self.values[place] = self.values[place - 1] + (place == 0)

    def run(self):
        in_threads(*(lambda place=place: self.hand_on(place) for place in range(3)))
        assert len(set(self.values)) == 1


class TokenRingInOrder(TokenRing):
    def __init__(self):
        super().__init__()
        self.handed_on = [threading.Event() for _ in range(3)]

    def hand_on(self, place):
        if place:
            self.handed_on[place - 1].wait()
        super().hand_on(place)
        self.handed_on[place].set()
