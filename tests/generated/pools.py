"""Operations on executors and futures."""

from __future__ import annotations

from tests.generated.operations import Scope, Span, either, exactly, in_turn, kind, together


@kind
def submitted(scope: Scope) -> Span:
    """Results come with their futures, whoever computed them; callbacks have been called when the pool is closed."""
    calls, workers = scope.calls(2, 4), scope.number(1, 3)
    scope.write(
        """
        called = []
        threads = set()

        def work(call):
            threads.add(threading.current_thread().name)
            return call()

        with concurrent.futures.ThreadPoolExecutor($workers, thread_name_prefix="pool") as pool:
            futures = [pool.submit(work, call) for call in $calls]
            for future in futures:
                future.add_done_callback(lambda future: called.append(future.result()))
            values = [future.result($patience) for future in futures]
        states = [(future.done(), future.running(), future.cancelled(), future.exception()) for future in futures]
        rightly_named = all(re.fullmatch("pool_[0-9]", name) for name in threads)
        return values, sorted(called, key=repr), states, len(threads) <= $workers, rightly_named
        """,
        workers=workers,
        patience=scope.patience(),
        calls=calls.text,
    )
    return in_turn(*calls.spans) if workers == 1 else either(*calls.spans)


@kind
def mapped(scope: Scope) -> Span:
    """``map`` keeps the order, and raises where a call did."""
    pause, count, workers = scope.pause(1), scope.number(1, 5), scope.number(1, 3)
    scope.write(
        """
        def work(n, m):
            time.sleep($pause_s)
            if n == $wrong:
                raise ValueError(f"{n} is wrong")
            return n * m

        with concurrent.futures.ThreadPoolExecutor(max_workers=$workers) as pool:
            results = pool.map(work, range($count), range(2, $count + 2)$timeout)
            taken = []
            try:
                for value in results:
                    taken.append(value)
            except ValueError as error:
                taken.append(error.args)
        return taken, attempt(next, results)
        """,
        pause=pause,
        count=count,
        workers=workers,
        wrong=scope.number(0, 8),
        timeout=scope.one_of("", ", timeout=30"),
    )
    # An error cancels what has not begun.
    return Span(pause, pause * -(-count // workers))


@kind
def as_they_complete(scope: Scope) -> Span:
    """Each future comes once."""
    calls, workers = scope.calls(2, 3), scope.number(1, 3)
    scope.write(
        """
        with concurrent.futures.ThreadPoolExecutor($workers) as pool:
            futures = {pool.submit(call): n for n, call in enumerate($calls)}
            done, rest = concurrent.futures.wait([*futures][1:], return_when=concurrent.futures.$when)
            completed = [
                (futures[future], future.result(), future.done())
                for future in concurrent.futures.as_completed(futures$patience)
            ]
        again = [futures[future] for future in concurrent.futures.as_completed([*futures, *futures])]
        return sorted(completed), sorted(futures[future] for future in done), len(rest), sorted(again)
        """,
        workers=workers,
        patience=scope.one_of("", ", timeout=30"),
        when=scope.one_of("ALL_COMPLETED", "FIRST_EXCEPTION"),
        calls=calls.text,
    )
    return in_turn(*calls.spans) if workers == 1 else either(*calls.spans)


@kind
def waited_for(scope: Scope) -> Span:
    """The first result, or error, is enough; for the others, the time runs out."""
    calls, short = scope.calls(1, 2), scope.short()
    scope.write(
        """
        gate = threading.Event()

        def held(call):
            gate.wait()
            return call()

        def first():
            if "$when" == "FIRST_EXCEPTION":
                raise LookupError("the first")
            return "the first"

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            others = [pool.submit(held, call) for call in $calls]
            soon = pool.submit(first)
            done, rest = concurrent.futures.wait([soon, *others], return_when="$when")
            enough = done == {soon}, rest == set(others), attempt(soon.result)
            late = [
                len(concurrent.futures.wait(others, timeout=$short_s).not_done),
                attempt(others[0].result, $short_s),
                attempt(others[0].exception, timeout=$short_s),
                attempt(list, concurrent.futures.as_completed(others, timeout=$short_s)),
            ]
            gate.set()
        return enough, late, [future.result() for future in others]
        """,
        when=scope.one_of("FIRST_COMPLETED", "FIRST_EXCEPTION"),
        short=short,
        calls=calls.text,
    )
    return in_turn(exactly(4 * short), together(*calls.spans))


@kind
def cancelled(scope: Scope) -> Span:
    """What never ran can be cancelled, and what runs cannot.

    Nobody waits for those that the pool's end cancels: CPython never tells who does.
    """
    calls = scope.calls(1, 1)
    scope.write(
        """
        gate, running = threading.Event(), threading.Event()
        ran, told = [], []

        def outcome(future):
            try:
                return future.exception()
            except concurrent.futures.CancelledError as error:
                return error

        def hold(call):
            running.set()
            gate.wait()
            return call()

        pool = concurrent.futures.ThreadPoolExecutor(1)
        first = pool.submit(hold, $calls[0])
        running.wait()
        others = [pool.submit(ran.append, n) for n in range($count)]
        others[0].add_done_callback(lambda future: told.append(future.cancelled()))
        before = first.cancel(), first.running(), others[0].cancel(), others[0].cancel(), list(told)
        pool.shutdown(wait=False, cancel_futures=$all)
        gate.set()
        pool.shutdown()
        errors = [type(error).__name__ for error in map(outcome, others)]
        counted = sum(future.cancelled() for future in others)
        refused = attempt(pool.submit, print)
        return before, errors, counted, ran, first.result(), refused
        """,
        count=scope.number(1, 3),
        all=scope.one_of("True", "False"),
        calls=calls.text,
    )
    return in_turn(*calls.spans)


@kind
def raised(scope: Scope) -> Span:
    """An exception passes through a future as it was: its type, its words, its cause and its context."""
    scope.write(
        """
        class Trouble(Exception):
            def __init__(self, number):
                super().__init__(f"trouble {number}")
                self.number = number

        def fail(n):
            try:
                return {}[n]
            except KeyError as error:
                time.sleep(0)
                $raising

        with concurrent.futures.ThreadPoolExecutor($workers) as pool:
            futures = [pool.submit(fail, n) for n in range($count)]
            errors = [future.exception($patience) for future in futures]
        told = [(repr(error), error.number, repr(error.__cause__), repr(error.__context__)) for error in errors]
        return told, [attempt(future.result) for future in futures], attempt(futures[0].set_result, 1)[:18]
        """,
        raising=scope.one_of("raise Trouble(n)", "raise Trouble(n) from error", "raise Trouble(n) from None"),
        workers=scope.number(1, 3),
        count=scope.number(1, 3),
        patience=scope.patience(),
    )
    return exactly(0)


@kind
def future_by_hand(scope: Scope) -> Span:
    """A future is settled once, by anybody, and everybody who waits for it is told."""
    calls, pause = scope.calls(1, 2), scope.pause(1)
    scope.write(
        """
        future = concurrent.futures.Future()
        told = []
        future.add_done_callback(lambda future: told.append(attempt(future.result)))

        def settle():
            time.sleep($pause_s)
            assert future.set_running_or_notify_cancel()
            $settling

        def work(call):
            return attempt(future.result), call()

        before = future.done(), attempt(future.result, timeout=0)
        values = gather(settle, *[functools.partial(work, call) for call in $calls])
        future.add_done_callback(lambda future: told.append("at once"))
        after = future.done(), future.cancel(), attempt(future.set_result, 2)[:18]
        return before, values, after, told
        """,
        settling=scope.one_of("future.set_result([7])", 'future.set_exception(OSError("no"))'),
        pause=pause,
        calls=calls.text,
    )
    return in_turn(exactly(pause), together(*calls.spans))


@kind
def prepared_workers(scope: Scope) -> Span:
    """Each worker is prepared once, and keeps what it has for itself; a context goes where it is sent."""
    calls, workers = scope.calls(1, 3), scope.number(1, 3)
    scope.write(
        """
        own = threading.local()
        prepared = []
        variable = contextvars.ContextVar("variable", default="unset")

        def prepare(word):
            own.word = word
            own.count = 0
            prepared.append(word)

        def work(call):
            own.count += 1
            return own.word, variable.get(), call()

        with concurrent.futures.ThreadPoolExecutor($workers, "", prepare, ("ready",)) as pool:
            variable.set("sent")
            plain = [pool.submit(work, call) for call in $calls]
            sent = [pool.submit(contextvars.copy_context().run, work, str) for _ in plain]
            values = [future.result() for future in [*plain, *sent]]
        return values, 1 <= len(prepared) <= $workers, hasattr(own, "word")
        """,
        workers=workers,
        calls=calls.text,
    )
    return in_turn(*calls.spans) if workers == 1 else either(*calls.spans)


@kind
def pool_of_pools(scope: Scope) -> Span:
    """Tasks that use an executor of their own; and one after the other, tasks that submit the next."""
    calls = scope.calls(2, 3)
    scope.write(
        """
        done = threading.Event()
        log = []

        def step(n):
            log.append(n)
            if n:
                outer.submit(step, n - 1)
            else:
                done.set()

        def split(call):
            with concurrent.futures.ThreadPoolExecutor(2) as inner:
                return list(inner.map(lambda call: call(), [call, str]))

        with concurrent.futures.ThreadPoolExecutor(len($calls) + 1) as outer:
            outer.submit(step, $steps)
            values = list(outer.map(split, $calls))
            finished = done.wait($patience)
        return values, finished, log
        """,
        steps=scope.number(0, 3),
        patience=scope.patience(),
        calls=calls.text,
    )
    return together(*calls.spans)
