"""Operations on threads themselves, and on what each thread has for itself; and those that call no others."""

from __future__ import annotations

from tests.generated.operations import Scope, Span, alone, exactly, in_turn, kind, leaf, together


@leaf
def value(scope: Scope) -> Span:
    """Compute something."""
    scope.write(
        scope.one_of(
            "return $number",
            "return sum(n * n for n in range($number))",
            "return sorted(str($number**3))",
            'return "".join(reversed("abc" * $number))',
            "return attempt(divmod, $number, 0)",
            "return [*itertools.accumulate(range($number))]",
        ),
        number=scope.number(1, 9),
    )
    return exactly(0)


@leaf
def nap(scope: Scope) -> Span:
    """Sleep, and look at the clock."""
    pause = scope.short()
    scope.write(
        """
        began = time.monotonic()
        time.sleep($pause_s)
        return time.monotonic() - began > 0.99 * $pause_s
        """,
        pause=pause,
    )
    return exactly(pause)


@leaf
def cached(scope: Scope) -> Span:
    """Compute something with a cache, and a context left in order."""
    scope.write(
        """
        left = []

        @functools.lru_cache($size)
        def power(n):
            return n if n < 2 else power(n - 1) + power(n - 2)

        with contextlib.ExitStack() as stack:
            for n in range($number):
                stack.callback(left.append, power(n))
        return left
        """,
        size=scope.one_of("None", "2", "64"),
        number=scope.number(2, 6),
    )
    return exactly(0)


@kind
def threads_with_targets(scope: Scope) -> Span:
    """Arguments, names and daemons; what a thread says of itself before, in between and after."""
    calls = scope.calls(1, 3)
    scope.write(
        """
        results = {}

        def work(key, *, call):
            me = threading.current_thread()
            results[key] = me.name, me.daemon, me.is_alive(), me.ident == threading.get_ident(), call()

        threads = [
            threading.Thread(target=work, args=(n,), kwargs={"call": call}, name=f"$name-{n}", daemon=$daemon)
            for n, call in enumerate($calls)
        ]
        before = [(thread.is_alive(), thread.ident) for thread in threads], attempt(threads[0].join)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join($patience)
        after = [(thread.is_alive(), thread.ident is None) for thread in threads], attempt(threads[0].start)
        return before, sorted(results.items()), after
        """,
        name=scope.one_of("worker", "a b", "é"),
        daemon=scope.one_of("True", "False"),
        patience=scope.patience(),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def subclass_of_thread(scope: Scope) -> Span:
    """A subclass that keeps its result, or its exception, for whoever joins it."""
    calls, pause = scope.calls(1, 3), scope.pause(2)
    scope.write(
        """
        class Worker(threading.Thread):
            def __init__(self, call, fails):
                super().__init__(name=f"worker-{fails}", daemon=$daemon)
                self.call = call
                self.fails = fails
                self.outcome = "none"

            def run(self):
                time.sleep($pause_s)
                try:
                    if self.fails:
                        raise LookupError(self.name)
                    self.outcome = self.call()
                except LookupError as error:
                    self.outcome = error

            def join(self, timeout=None):
                super().join(timeout)
                if isinstance(self.outcome, LookupError):
                    raise self.outcome
                return self.outcome

        workers = [Worker(call, n % 2 == $odd) for n, call in enumerate($calls)]
        for worker in workers:
            worker.start()
        return [attempt(worker.join) for worker in workers], [worker.name for worker in workers]
        """,
        daemon=scope.one_of("True", "False", "None"),
        pause=pause,
        odd=scope.number(0, 1),
        calls=calls.text,
    )
    return Span(pause, pause + together(*calls.spans).most)


@kind
def join_with_timeout(scope: Scope) -> Span:
    """Who is not awaited long enough is alive; ``join`` does not stop it."""
    calls, short = scope.calls(1, 1), scope.short()
    scope.write(
        """
        gate = threading.Event()
        results = []

        def work(call):
            gate.wait()
            results.append(call())

        threads = begin(*[functools.partial(work, call) for call in $calls])
        said = [threads[0].join($short_s), threads[0].is_alive(), list(results), threads[0].join(0)]
        gate.set()
        threads[0].join(30)
        return said, threads[0].is_alive(), results, attempt(threading.current_thread().join)
        """,
        short=short,
        calls=calls.text,
    )
    return in_turn(exactly(short), *calls.spans)


@kind
def left_behind(scope: Scope) -> Span:
    """A daemon that nobody ever wakes; the program ends without it."""
    calls = scope.calls(1, 2)
    scope.write(
        """
        started = threading.Event()

        def idle():
            started.set()
            threading.Event().wait()

        thread = threading.Thread(target=idle, daemon=True, name="idle")
        thread.start()
        started.wait()
        return thread.is_alive(), gather(*$calls)
        """,
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def timers(scope: Scope) -> Span:
    """Each fires once, when its time has come; one that is cancelled does not."""
    calls, first = scope.calls(1, 2), scope.short()
    scope.write(
        """
        fired = []

        def fire(key, call=None):
            fired.append((key, call()))

        waiting = [threading.Timer($first_s * (n + 1), fire, (n,), {"call": call}) for n, call in enumerate($calls)]
        never = [threading.Timer(30, fire, ["never"]) for _ in range(2)]
        for timer in [*waiting, *never]:
            timer.daemon = $daemon
            timer.start()
        for timer in never:
            timer.cancel()
        for timer in [*waiting, *never]:
            timer.join()
        return sorted(fired), [timer.is_alive() for timer in [*waiting, *never]]
        """,
        first=first,
        daemon=scope.one_of("True", "False"),
        calls=calls.text,
    )
    return together(*[in_turn(exactly(first * (n + 1)), span) for n, span in enumerate(calls.spans)])


@kind
def each_its_own(scope: Scope) -> Span:
    """What a thread sets on a local, no other sees."""
    calls = scope.calls(2, 3)
    scope.write(
        """
        class Own(threading.local):
            common = []

            def __init__(self, start):
                self.count = start
                self.common.append(start)

        plain, own = threading.local(), Own($start)
        plain.key = "outside"

        def work(me, call):
            before = attempt(getattr, plain, "key")
            plain.key = me
            own.count += me
            value = call()
            time.sleep(0)
            mine = sorted(vars(plain).items()), own.count
            del plain.key
            return before, value, mine, hasattr(plain, "key")

        values = gather(*[functools.partial(work, n, call) for n, call in enumerate($calls)])
        return values, plain.key, own.count, Own.common
        """,
        start=scope.number(0, 5),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def contexts(scope: Scope) -> Span:
    """A thread sees the context that it runs in; what it sets there stays there."""
    calls = scope.calls(1, 3)
    scope.write(
        """
        variable = contextvars.ContextVar("variable", default="unset")
        outer = variable.get()
        token = variable.set("$word")

        def work(me, call):
            before = variable.get()
            variable.set((me, before))
            value = call()
            time.sleep(0)
            return before, variable.get(), value

        works = [functools.partial(work, n, call) for n, call in enumerate($calls)]
        bare = contextvars.Context()
        inherited = gather(*[functools.partial(contextvars.copy_context().run, work) for work in works])
        separate = gather(functools.partial(bare.run, work, 9, str))
        after = variable.get()
        variable.reset(token)
        return outer, inherited, separate, after, bare[variable], variable.get()
        """,
        word=scope.one_of("red", "green"),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def generator_in_turns(scope: Scope) -> Span:
    """Several threads draw from one generator, one at a time; each also has one of its own."""
    calls = scope.calls(2, 3)
    scope.write(
        """
        lock = threading.Lock()

        def numbers(count):
            received = yield "ready"
            for n in range(count):
                time.sleep(0)
                received = yield n, received
            return "over"

        def delegate(count):
            result = yield from numbers(count)
            yield result

        source = delegate(len($calls) * $share)
        next(source)

        def work(me, call):
            drawn = []
            for _ in range($share):
                with lock:
                    drawn.append(source.send(me))
            own = list(numbers(2))
            return all(sender == me for _, sender in drawn), [n for n, _ in drawn], own, call()

        told = gather(*[functools.partial(work, n, call) for n, call in enumerate($calls)])
        drawn = sorted(itertools.chain(*[numbers for _, numbers, _, _ in told]))
        return drawn, [(fair, own, value) for fair, _, own, value in told], next(source), attempt(next, source, "end")
        """,
        share=scope.number(1, 3),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def identities(scope: Scope) -> Span:
    """Threads that live at the same time have different idents."""
    scope.write(
        """
        together = threading.Barrier($count)

        def work():
            together.wait()
            seen = threading.get_ident(), threading.current_thread() in threading.enumerate()
            together.wait()
            return seen

        seen = gather(*[work] * $count)
        return len({ident for ident, _ in seen}), [listed for _, listed in seen]
        """,
        count=scope.number(2, 4),
    )
    return exactly(0)


@kind
def logged(scope: Scope) -> Span:
    """Log records of several threads reach a handler whole, with their thread's name."""
    calls = scope.calls(2, 3)
    scope.write(
        """
        class Lines(logging.Handler):
            def emit(self, record):
                before = len(lines)
                time.sleep(0)
                assert len(lines) == before
                lines.append(self.format(record))

        lines = []
        logger = logging.Logger("generated")
        handler = Lines()
        handler.setFormatter(logging.Formatter("%(threadName)s %(levelname)s %(message)s"))
        logger.addHandler(handler)

        def work(me, call):
            logger.info("%d says %r", me, call())
            logger.warning("%d", me)

        gather(*[functools.partial(work, n, call) for n, call in enumerate($calls)])
        return sorted(lines)
        """,
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def scheduled(scope: Scope) -> Span:
    """What is due first, runs first; at one time, by priority."""
    short = scope.short()
    scope.write(
        """
        plan = sched.scheduler($clock, time.sleep)
        log = []
        now = plan.timefunc()
        plan.enterabs(now + 2 * $short_s, 1, log.append, ("late",))
        plan.enterabs(now + $short_s, 2, log.append, argument=("second",))
        plan.enterabs(now + $short_s, 2, log.append, kwargs={}, argument=("third",))
        plan.enterabs(now + $short_s, 1, log.append, ("first",))
        plan.cancel(plan.enter(30, 1, log.append, ("never",)))
        plan.run()
        return log, plan.empty(), plan.timefunc() - now > 1.99 * $short_s
        """,
        clock=scope.one_of("time.monotonic", "time.time"),
        short=short,
    )
    return exactly(2 * short)


@alone
def hooked(scope: Scope) -> Span:
    """Exceptions that threads do not catch go to the hook."""
    scope.write(
        """
        told = []

        def tell(said):
            told.append((said.exc_type.__name__, str(said.exc_value), said.thread.name, said.exc_traceback is None))

        def fail(n):
            time.sleep(0)
            if n == $spared:
                raise SystemExit("silent")
            raise [ValueError, KeyError, RuntimeError][n](f"from {n}")

        before, threading.excepthook = threading.excepthook, tell
        try:
            for thread in begin(*[functools.partial(fail, n) for n in range(3)]):
                thread.join()
        finally:
            threading.excepthook = before
        return sorted(told)
        """,
        spared=scope.number(0, 3),
    )
    return exactly(0)


@alone
def names(scope: Scope) -> Span:
    """Names that threads get by themselves, and how many there are."""
    scope.write(
        """
        def work():
            gate.wait()

        class Special(threading.Thread):
            def run(self):
                gate.wait()

        gate = threading.Event()
        before = threading.active_count()
        threads = [threading.Thread(target=work), Special(), threading.Timer(0, work), threading.Thread(name="mine")]
        for thread in threads:
            thread.start()
        threads[3].join()
        more = threading.active_count() - before, threading.current_thread() is threading.main_thread()
        listed = [thread in threading.enumerate() for thread in threads]
        gate.set()
        for thread in threads:
            thread.join()
        same = threading.active_count() == before, threading.main_thread().name
        threads[0].name = "renamed"
        return [re.sub("[0-9]+", "N", thread.name) for thread in threads], more, listed, same
        """
    )
    return exactly(0)
