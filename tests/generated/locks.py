"""Operations on locks, conditions, events, semaphores and barriers."""

from __future__ import annotations

from tests.generated.operations import LONG, Scope, Span, exactly, in_turn, kind, together


@kind
def locked_updates(scope: Scope) -> Span:
    """Whoever has the guard is alone: no update is lost."""
    calls, pause = scope.calls(2, 3), scope.pause(1)
    guards = ["Lock()", "RLock()", "Condition()", "Condition(threading.Lock())", "Semaphore()", "BoundedSemaphore(1)"]
    scope.write(
        """
        guard = threading.$guard
        shared = []

        def work(call):
            value = call()
            with guard:
                seen = list(shared)
                time.sleep($pause_s)
                shared[:] = [*seen, value]

        gather(*[functools.partial(work, call) for call in $calls])
        return sorted(shared, key=repr)
        """,
        guard=scope.one_of(*guards),
        pause=pause,
        calls=calls.text,
    )
    inside = exactly(pause * len(calls.spans))
    return Span(together(inside, *calls.spans).least, in_turn(together(*calls.spans), inside).most)


@kind
def locked_counter(scope: Scope) -> Span:
    """Also by hand, with a timeout that does not expire, and by polling."""
    scope.write(
        """
        lock = threading.$lock
        count = 0

        def work():
            nonlocal count
            for _ in range($rounds):
                $acquire
                try:
                    before = count
                    time.sleep(0)
                    count = before + 1
                finally:
                    lock.release()

        gather(*[work] * $threads)
        return count
        """,
        lock=scope.one_of("Lock()", "RLock()", "Semaphore(1)", "Condition()", "BoundedSemaphore()"),
        acquire=scope.one_of(
            "lock.acquire()",
            f"assert lock.acquire(timeout={LONG})",
            "while not lock.acquire(blocking=False): time.sleep(0)",
        ),
        rounds=scope.number(1, 3),
        threads=scope.number(2, 3),
    )
    return exactly(0)


@kind
def nested_lock(scope: Scope) -> Span:
    """What one thread does under a lock taken several times stands together."""
    calls = scope.calls(2, 3)
    scope.write(
        """
        lock = threading.$lock
        trail = []

        def descend(depth):
            with lock:
                trail.append(threading.current_thread().name)
                time.sleep(0)
                if depth:
                    descend(depth - 1)
                trail.append(threading.current_thread().name)

        def work(call):
            descend($depth)
            return call()

        values = gather(*[functools.partial(work, call) for call in $calls])
        with lock, lock:
            others = gather(lambda: lock.acquire(blocking=False), lambda: attempt(lock.release))
        return values, others, sorted((name, len([*block])) for name, block in itertools.groupby(trail))
        """,
        lock=scope.one_of("RLock()", "Condition()"),
        depth=scope.number(1, 3),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def lock_states(scope: Scope) -> Span:
    """A held lock is not to be had, whoever gives it back."""
    short = scope.short()
    scope.write(
        """
        lock = threading.Lock()
        with lock:
            held = gather(lambda: lock.acquire(blocking=False), lambda: lock.acquire(timeout=$short_s), lock.locked)
        said = [attempt(lock.release), attempt(lock.acquire, False, 1), attempt(lock.acquire, timeout=-2)]
        lock.acquire()
        gather(lock.release)
        return held, said, lock.locked(), lock.acquire(timeout=30)
        """,
        short=short,
    )
    return exactly(short)


@kind
def taking_turns(scope: Scope) -> Span:
    """Each waits for its turn in a loop, and lets the next one go on."""
    calls = scope.calls(2, 3)
    scope.write(
        """
        condition = threading.Condition($lock)
        turn = 0
        log = []

        def work(me, call):
            nonlocal turn
            for _ in range($rounds):
                with condition:
                    condition.wait_for(lambda: turn % $threads == me$patience)
                    log.append((me, turn))
                    turn += 1
                    condition.notify_all()
            return call()

        values = gather(*[functools.partial(work, n, call) for n, call in enumerate($calls)])
        return log, values
        """,
        lock=scope.one_of("", "threading.Lock()", "threading.RLock()"),
        rounds=scope.number(1, 3),
        threads=len(calls.spans),
        patience=scope.one_of("", ", " + LONG),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def bounded_buffer(scope: Scope) -> Span:
    """Two conditions over one lock, each notified once for each item."""
    producers, share, pause = scope.number(1, 2), scope.number(2, 4), scope.pause(1)
    scope.write(
        """
        lock = threading.Lock()
        not_full, not_empty = threading.Condition(lock), threading.Condition(lock)
        buffer = deque()
        most = 0

        def produce(start):
            nonlocal most
            for n in range($share):
                with not_full:
                    while len(buffer) >= $size:
                        not_full.wait()
                    buffer.append(start + n)
                    most = max(most, len(buffer))
                    not_empty.notify()
            time.sleep($pause_s)
            return []

        def consume():
            taken = []
            for _ in range($share):
                with not_empty:
                    not_empty.wait_for(lambda: buffer)
                    taken.append(buffer.popleft())
                    not_full.notify()
            return taken

        makers = [functools.partial(produce, 100 * n) for n in range($producers)]
        taken = gather(*makers, *[consume] * $producers)
        return sorted(itertools.chain(*taken)), most <= $size, list(buffer)
        """,
        producers=producers,
        share=share,
        size=scope.number(1, 3),
        pause=pause,
    )
    return exactly(pause)


@kind
def conditions_that_time_out(scope: Scope) -> Span:
    """Nobody notifies: waiting ends when its time is up; without the lock, it is an error."""
    short = scope.short()
    scope.write(
        """
        condition = threading.Condition($lock)
        with condition:
            waited = [
                condition.wait($short_s),
                condition.wait_for(lambda: 0, $short_s),
                condition.wait_for(lambda: 7),
                condition.wait(0),
            ]
        return waited, attempt(condition.wait), attempt(condition.notify), attempt(condition.notify_all)
        """,
        lock=scope.one_of("", "threading.Lock()", "threading.RLock()"),
        short=short,
    )
    return exactly(2 * short)


@kind
def so_many_are_notified(scope: Scope) -> Span:
    """``notify(n)`` wakes n of those that wait, and no other."""
    calls, short = scope.calls(2, 3), scope.short()
    scope.write(
        """
        condition = threading.Condition($lock)
        arrived, gone = threading.Semaphore(0), threading.Semaphore(0)

        def work(call):
            with condition:
                arrived.release()
                condition.wait($patience)
            gone.release()
            results.append(call())

        results = []
        threads = begin(*[functools.partial(work, call) for call in $calls])
        for _ in threads:
            arrived.acquire()
        with condition:
            condition.notify($some)
        woken = [gone.acquire(timeout=30) for _ in range($some)]
        others = gone.acquire(timeout=$short_s)
        with condition:
            condition.notify_all()
        for thread in threads:
            thread.join()
        return woken, others, sorted(results, key=repr)
        """,
        lock=scope.one_of("", "threading.Lock()"),
        patience=scope.patience(),
        some=scope.number(0, len(calls.spans) - 1),
        short=short,
        calls=calls.text,
    )
    return Span(short, short + together(*calls.spans).most)


@kind
def event_for_all(scope: Scope) -> Span:
    """Who waits for an event goes on when it is set, and nobody waits for one that is."""
    calls, short, pause = scope.calls(1, 3), scope.short(), scope.pause(2)
    scope.write(
        """
        event = threading.Event()

        def work(call):
            return event.wait($patience), call()

        early = event.is_set(), event.wait($short_s)
        setter = threading.Timer($pause_s, event.set)
        setter.start()
        values = gather(*[functools.partial(work, call) for call in $calls])
        late = event.is_set(), event.wait(30), event.clear(), event.is_set(), event.wait(0)
        return early, values, late
        """,
        short=short,
        pause=pause,
        patience=scope.patience(),
        calls=calls.text,
    )
    return in_turn(exactly(short + pause), together(*calls.spans))


@kind
def chain_of_events(scope: Scope) -> Span:
    """Each is set off by the one before, whoever was started first."""
    calls, pause = scope.calls(2, 3), scope.pause(1)
    scope.write(
        """
        events = [threading.Event() for _ in range($count + 1)]
        log = []

        def work(me, call):
            events[me].wait($patience)
            time.sleep($pause_s)
            log.append((me, call()))
            events[me + 1].set()

        threads = begin(*reversed([functools.partial(work, n, call) for n, call in enumerate($calls)]))
        events[0].set()
        done = events[-1].wait()
        for thread in threads:
            thread.join()
        return done, log
        """,
        count=len(calls.spans),
        pause=pause,
        patience=scope.patience(),
        calls=calls.text,
    )
    return in_turn(exactly(pause * len(calls.spans)), *calls.spans)


@kind
def permits(scope: Scope) -> Span:
    """No more go in than there are permits, and all of them come out."""
    calls, count, pause = scope.calls(2, 4), scope.number(1, 3), scope.number(1, 2)
    scope.write(
        """
        permits = threading.$kind($count)
        lock = threading.Lock()
        inside = most = 0

        def work(call):
            nonlocal inside, most
            with permits:
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep($pause_s)
                with lock:
                    inside -= 1
            return call()

        values = gather(*[functools.partial(work, call) for call in $calls])
        return values, most <= $count, inside
        """,
        kind=scope.one_of("Semaphore", "BoundedSemaphore"),
        count=count,
        pause=pause,
        calls=calls.text,
    )
    rounds = exactly(pause * -(-len(calls.spans) // count))
    return Span(together(rounds, *calls.spans).least, in_turn(rounds, together(*calls.spans)).most)


@kind
def permits_are_counted(scope: Scope) -> Span:
    """As many as were put in can be taken out."""
    short = scope.short()
    scope.write(
        """
        permits = threading.$kind($count)
        got = [permits.acquire(blocking=False) for _ in range($count + 1)]
        got.append(permits.acquire(timeout=$short_s))
        permits.release($count)
        again = gather(*[permits.acquire] * $count)
        late = permits.acquire(timeout=0)
        permits.release($count)
        errors = [attempt(permits.release, 0), attempt(threading.$kind, -1), attempt(permits.acquire, False, 1)]
        return got, again, late, errors, attempt(permits.release)
        """,
        kind=scope.one_of("Semaphore", "BoundedSemaphore"),
        count=scope.number(1, 3),
        short=short,
    )
    return exactly(short)


@kind
def phases(scope: Scope) -> Span:
    """Nobody is a phase ahead: behind the barrier, everybody's part is there."""
    parties, rounds, pause = scope.number(2, 3), scope.number(1, 3), scope.pause(1)
    scope.write(
        """
        actions = []
        barrier = threading.Barrier($parties, $action)
        parts = [None] * $parties
        numbers = []

        def work(me):
            seen = []
            for phase in range($rounds):
                time.sleep($pause_s if me else 0)
                parts[me] = (phase, me)
                numbers.append(barrier.wait($patience))
                seen.append(list(parts))
                barrier.wait()
            return seen

        seen = gather(*[functools.partial(work, n) for n in range($parties)])
        return seen, sorted(numbers), len(actions), barrier.parties, barrier.n_waiting, barrier.broken
        """,
        parties=parties,
        rounds=rounds,
        pause=pause,
        action=scope.one_of("None", "lambda: actions.append(1)"),
        patience=scope.patience(),
    )
    return exactly(rounds * pause)


@kind
def broken_barrier(scope: Scope) -> Span:
    """One missing, or one that gives up: nobody passes, until it is mended."""
    short = scope.short()
    by_time = scope.number(0, 1)
    scope.write(
        """
        results = []
        barrier = threading.Barrier($parties)
        waiting = begin(*[lambda: results.append(attempt(barrier.wait$wait))] * ($parties - 1))
        $abort
        for thread in waiting:
            thread.join()
        late = attempt(barrier.wait), barrier.broken
        barrier.reset()
        return results, late, sorted(gather(*[barrier.wait] * $parties)), barrier.broken
        """,
        parties=scope.number(2, 3),
        wait=f", {short / 1000:g}" if by_time else "",
        abort="time.sleep(0)" if by_time else "barrier.abort()",
        short=short,
    )
    return exactly(short * by_time)
