"""Operations on queues."""

from __future__ import annotations

import queue

from tests.generated.operations import Scope, Span, exactly, in_turn, kind, together

HAS_SHUTDOWN = hasattr(queue, "ShutDown")


def _sized(scope: Scope, *kinds: str) -> str:
    """A queue, bounded or not."""
    name = scope.one_of(*kinds)
    return "queue.SimpleQueue()" if name == "SimpleQueue" else f"queue.{name}({scope.number(0, 3)})"


@kind
def many_to_many(scope: Scope) -> Span:
    """Producers, consumers, and for each of these a last item that ends it."""
    producers, pause = scope.number(1, 3), scope.pause(1)
    scope.write(
        """
        items = $queue
        last = 1_000_000

        def produce(start):
            for n in range($share):
                items.put(start + n$put)
            time.sleep($pause_s)
            return []

        def consume():
            return list(iter(functools.partial(items.get$get), last))

        consumed = []
        consumers = begin(*[lambda: consumed.append(consume())] * $consumers)
        gather(*[functools.partial(produce, 100 * n) for n in range($producers)])
        for _ in consumers:
            items.put(last)
        for thread in consumers:
            thread.join()
        return sorted(itertools.chain(*consumed)), len(consumed), items.empty(), items.qsize()
        """,
        queue=_sized(scope, "Queue", "PriorityQueue", "SimpleQueue"),
        producers=producers,
        consumers=scope.number(1, 3),
        share=scope.number(1, 4),
        pause=pause,
        put=scope.one_of("", ", timeout=30"),
        get=scope.one_of("", ", timeout=30", ", True, 30"),
    )
    return exactly(pause)


@kind
def all_are_done(scope: Scope) -> Span:
    """``join`` returns when every item has been worked on."""
    calls, pause = scope.calls(1, 3), scope.pause(1)
    scope.write(
        """
        work = queue.$queue($size)
        results = []

        def serve():
            while (item := work.get()) != 9999:
                n, call = item, calls[item]
                results.append((n, call()))
                time.sleep($pause_s)
                work.task_done()
            work.task_done()

        calls = $calls
        servers = begin(*[serve] * $servers)
        for n in range(len(calls)):
            work.put(n)
        work.join()
        done = sorted(results)
        for _ in servers:
            work.put(9999)
        work.join()
        for thread in servers:
            thread.join(30)
        return done, work.unfinished_tasks, attempt(work.task_done), [thread.is_alive() for thread in servers]
        """,
        queue=scope.one_of("Queue", "LifoQueue", "PriorityQueue"),
        size=scope.number(0, 2),
        servers=scope.number(1, 2),
        pause=pause,
        calls=calls.text,
    )
    each = [in_turn(span, exactly(pause)) for span in calls.spans]
    return Span(together(*each).least, in_turn(*each).most)


@kind
def one_to_one(scope: Scope) -> Span:
    """From one to one, items keep their order; in a bounded queue there are never more than fit."""
    scope.write(
        """
        items = $queue
        last = object()

        def produce():
            for n in range($count):
                items.put((n, [n]))
            items.put(last)

        def consume():
            taken = []
            while (item := items.get()) is not last:
                taken.append(item)
                time.sleep(0)
            return taken

        return gather(produce, consume)
        """,
        queue=_sized(scope, "Queue", "SimpleQueue"),
        count=scope.number(1, 6),
    )
    return exactly(0)


@kind
def filled_then_emptied(scope: Scope) -> Span:
    """Each kind of queue has an order of its own."""
    name = scope.one_of("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
    items = [scope.number(0, 9) for _ in range(scope.number(1, 5))]
    scope.write(
        """
        items = queue.$name()

        def fill():
            for item in $items:
                items.put_nowait(item)
            return items.qsize()

        def empty():
            taken = []
            with contextlib.suppress(queue.Empty):
                while True:
                    taken.append(items.get_nowait())
            return taken, items.qsize(), items.empty()

        return gather(fill) + gather(empty) + gather(empty)
        """,
        name=name,
        items=items,
    )
    return exactly(0)


@kind
def full_and_empty(scope: Scope) -> Span:
    """What a queue has no room for, or not to give, is an error when the time is up."""
    short, size = scope.short(), scope.number(1, 2)
    scope.write(
        """
        items = queue.$queue($size)
        errors = [attempt(items.get, timeout=$short_s), attempt(items.get_nowait), attempt(items.get, timeout=-1)]
        for n in range($size):
            items.put(n)
        errors += [attempt(items.put, 9, timeout=$short_s), attempt(items.put_nowait, 9), attempt(items.put, 9, False)]
        state = items.full(), items.empty(), items.qsize(), items.unfinished_tasks
        done = [attempt(items.task_done) for _ in range($size + 1)]
        return errors, state, done, attempt(items.join), sorted(items.get() for _ in range($size)), items.full()
        """,
        queue=scope.one_of("Queue", "LifoQueue", "PriorityQueue"),
        short=short,
        size=size,
    )
    return exactly(2 * short)


@kind
def waiting_for_room(scope: Scope) -> Span:
    """Who waits for room, or for an item, goes on as soon as there is one."""
    pause = scope.short()
    scope.write(
        """
        items, answers = queue.Queue(1), queue.$answers()
        items.put("first")

        def push():
            items.put("second"$patience)
            return answers.get($patience2)

        def pull():
            time.sleep($pause_s)
            taken = [items.get(), items.get()]
            time.sleep($pause_s)
            answers.put("third")
            return taken

        return gather(push, pull)
        """,
        answers=scope.one_of("Queue", "LifoQueue", "SimpleQueue"),
        patience=scope.one_of("", ", timeout=30"),
        patience2=scope.one_of("", "timeout=30"),
        pause=pause,
    )
    return exactly(2 * pause)


@kind
def own_kind_of_queue(scope: Scope) -> Span:
    """A subclass keeps its items as it likes."""
    scope.write(
        """
        class Distinct(queue.Queue):
            def _init(self, maxsize):
                self.items = {}

            def _qsize(self):
                return len(self.items)

            def _put(self, item):
                self.items[item] = self.items.get(item, 0) + 1

            def _get(self):
                return self.items.popitem()

        items = Distinct()
        gather(*[functools.partial(items.put, n % $different) for n in range($count)])
        return sorted(items.get() for _ in range(items.qsize())), items.empty(), items.unfinished_tasks
        """,
        different=scope.number(1, 3),
        count=scope.number(2, 5),
    )
    return exactly(0)


@kind
def request_and_reply(scope: Scope) -> Span:
    """Clients ask one server, each with a queue of its own for the answer."""
    calls = scope.calls(1, 3)
    scope.write(
        """
        requests = $requests

        def serve():
            served = 0
            while (request := requests.get()) is not None:
                number, reply = request
                reply.put(number * number)
                served += 1
            return served

        def ask(n, call):
            reply = $reply
            requests.put((n, reply))
            return reply.get($patience), call()

        def clients():
            values = gather(*[functools.partial(ask, n, call) for n, call in enumerate($calls)])
            requests.put(None)
            return values

        return gather(serve, clients)
        """,
        requests=_sized(scope, "Queue", "SimpleQueue"),
        reply=_sized(scope, "Queue", "LifoQueue", "SimpleQueue"),
        patience=scope.one_of("", "timeout=30"),
        calls=calls.text,
    )
    return together(*calls.spans)


@kind
def shut_down(scope: Scope) -> Span:
    """Consumers finish what is there, and then learn that nothing more will come."""
    if not HAS_SHUTDOWN:
        return many_to_many(scope)
    scope.write(
        """
        items = queue.$queue($size)

        def consume():
            taken = []
            try:
                while True:
                    taken.append(items.get($patience))
                    items.task_done()
            except queue.ShutDown as error:
                return taken, repr(error)

        consumed = []
        consumers = begin(*[lambda: consumed.append(consume())] * $consumers)
        gather(*[functools.partial(items.put, n) for n in range($count)])
        $immediately
        items.shutdown()
        for thread in consumers:
            thread.join()
        items.join()
        refused = [attempt(items.put, 1), attempt(items.get), attempt(items.get_nowait)]
        lost = queue.Queue()
        lost.put(1)
        lost.shutdown(immediate=True)
        lost.join()
        taken = sorted(itertools.chain(*[taken for taken, _ in consumed]))
        return taken, [error for _, error in consumed], refused, lost.qsize(), attempt(lost.get)
        """,
        queue=scope.one_of("Queue", "LifoQueue", "PriorityQueue"),
        size=scope.number(0, 2),
        consumers=scope.number(1, 3),
        count=scope.number(1, 5),
        patience=scope.one_of("", "timeout=30"),
        immediately=scope.one_of("", "items.join()"),
    )
    return exactly(0)
