"""Threads, time, waiting and chance."""

from __future__ import annotations

from routilux_sim.boundary.rows import Entry, allowed, escapes, module, seeded, simulated

__all__ = ["ENTRIES", "MODULES"]

MODULES = (
    "_thread",
    "threading",
    "queue",
    "concurrent.futures",
    "time",
    "datetime",
    "sched",
    "asyncio",
    "contextvars",
    "random",
    "secrets",
    "uuid",
)

_CLOCK = "leave the machine's clock alone"
_NO_IO = "keep real input and output out of the program"
_NO_PROCESS = "keep other processes out of the simulated program"
_DATA = "holds or describes values"
_ASKS = "asks about the interpreter, which is the real one"
_POLICY = "asyncio.events.BaseDefaultEventLoopPolicy.new_event_loop"

ENTRIES: tuple[Entry, ...] = (
    *module(
        "_thread",
        simulated("start_new_thread start_new start_joinable_thread", "starts a simulated thread"),
        simulated("allocate_lock allocate lock RLock"),
        simulated("get_ident get_native_id", "tells simulated threads"),
        allowed(
            "LockType",
            "a real lock's type; a real lock works among simulated threads until two want it, when the watchdog ends "
            "the execution: make a threading.Lock, which is simulated",
        ),
        allowed("exit exit_thread", "raises SystemExit, which ends a simulated thread as it does a real one"),
        allowed("interrupt_main", "raises the signal of Ctrl-C, which ends the simulation"),
        allowed("stack_size daemon_threads_allowed", _ASKS),
    ),
    *module(
        "threading",
        simulated("Thread Lock Condition Event Semaphore BoundedSemaphore local"),
        simulated("RLock", on="threading._CRLock"),
        simulated("Barrier", on="threading.Condition"),
        simulated("Timer", on="threading.Thread.start"),
        simulated("current_thread enumerate active_count get_ident get_native_id", "tells simulated threads"),
        simulated("currentThread", "tells simulated threads", on="threading.current_thread"),
        simulated("activeCount", "tells simulated threads", on="threading.active_count"),
        allowed("excepthook ExceptHookArgs", "what a program sets here is called for its simulated threads"),
        allowed("main_thread", "the calling thread stands for the program's main thread"),
        allowed(
            "settrace setprofile settrace_all_threads setprofile_all_threads gettrace getprofile",
            "for real threads: all simulated ones run in the calling one",
        ),
        allowed("stack_size", _ASKS),
    ),
    *module(
        "queue",
        simulated("Queue SimpleQueue"),
        simulated("LifoQueue PriorityQueue", on="queue.Queue.put"),
    ),
    *module(
        "concurrent.futures",
        simulated("ThreadPoolExecutor", on="threading.Thread.start"),
        simulated("Future"),
        simulated("wait as_completed", on="threading.Event"),
        allowed("Executor", "a base class"),
        escapes("ProcessPoolExecutor", f"{_NO_PROCESS}; a ThreadPoolExecutor is simulated"),
    ),
    *module(
        "time",
        simulated("sleep", "moves the virtual clock"),
        simulated(
            "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns clock_gettime clock_gettime_ns",
            "reads the virtual clock",
        ),
        simulated("process_time process_time_ns thread_time thread_time_ns", "stands still: computing costs nothing"),
        simulated("localtime gmtime ctime asctime strftime", "of the virtual clock where no time is given"),
        allowed("strptime mktime struct_time", "computes"),
        allowed("get_clock_info clock_getres", "describes the machine's clocks"),
        allowed("tzset", "takes over the time zone that TZ names"),
        escapes("clock_settime clock_settime_ns", _CLOCK),
        escapes("pthread_getcpuclockid", "simulated threads have no clocks of their own; read time.thread_time()"),
    ),
    *module(
        "datetime",
        simulated("datetime date", "now, utcnow and today read the virtual clock"),
        allowed("time timedelta timezone tzinfo", _DATA),
    ),
    *module(
        "sched",
        simulated("scheduler", on="time.sleep"),
        allowed("Event", _DATA),
    ),
    *module(
        "asyncio",
        simulated(
            "run Runner new_event_loop get_event_loop set_event_loop DefaultEventLoopPolicy",
            "the event loop waits in virtual time",
            on=_POLICY,
        ),
        simulated("all_tasks as_completed", "in the order of the tasks' numbers"),
        simulated(
            "sleep wait wait_for timeout timeout_at Timeout gather shield ensure_future create_task to_thread "
            "wrap_future run_coroutine_threadsafe Future Task TaskGroup Handle TimerHandle Lock Event Condition "
            "Semaphore BoundedSemaphore Barrier Queue LifoQueue PriorityQueue create_eager_task_factory "
            "eager_task_factory",
            "asyncio's own, in a loop that waits in virtual time",
            on=_POLICY,
        ),
        allowed(
            "get_running_loop _get_running_loop _set_running_loop current_task _enter_task _leave_task _register_task "
            "_unregister_task iscoroutine iscoroutinefunction isfuture",
            "asks or notes what runs; each simulated thread has its own",
        ),
        allowed("get_event_loop_policy set_event_loop_policy", "put back when the execution ends"),
        allowed(
            "AbstractEventLoop AbstractEventLoopPolicy AbstractServer AbstractChildWatcher BaseEventLoop BaseProtocol "
            "BaseTransport BufferedProtocol DatagramProtocol DatagramTransport Protocol ReadTransport "
            "SubprocessProtocol SubprocessTransport Transport WriteTransport",
            "a base class: it does nothing by itself",
        ),
        allowed(
            "StreamReader StreamReaderProtocol StreamWriter Server",
            "holds data; what would fill it from outside is stopped",
        ),
        allowed(
            "SafeChildWatcher FastChildWatcher MultiLoopChildWatcher ThreadedChildWatcher PidfdChildWatcher "
            "get_child_watcher set_child_watcher",
            "for child processes, of which there are none",
        ),
        allowed(
            "SelectorEventLoop EventLoop",
            "may be made; running it is stopped, because it waits in reality: asyncio.run() and "
            "asyncio.new_event_loop() make simulated ones",
        ),
        escapes("create_subprocess_exec", _NO_PROCESS, on="asyncio.BaseEventLoop.subprocess_exec"),
        escapes("create_subprocess_shell", _NO_PROCESS, on="asyncio.BaseEventLoop.subprocess_shell"),
        escapes("open_connection", _NO_IO, on="asyncio.BaseEventLoop.create_connection"),
        escapes("open_unix_connection", _NO_IO, on="asyncio.BaseEventLoop.create_unix_connection"),
        escapes("start_server", _NO_IO, on="asyncio.BaseEventLoop.create_server"),
        escapes("start_unix_server", _NO_IO, on="asyncio.BaseEventLoop.create_unix_server"),
        escapes(
            "BaseEventLoop.add_reader BaseEventLoop.remove_reader BaseEventLoop.add_writer BaseEventLoop.remove_writer "
            "BaseEventLoop.sock_recv BaseEventLoop.sock_recv_into BaseEventLoop.sock_recvfrom "
            "BaseEventLoop.sock_recvfrom_into BaseEventLoop.sock_sendall BaseEventLoop.sock_sendto "
            "BaseEventLoop.sock_connect BaseEventLoop.sock_accept BaseEventLoop.sock_sendfile BaseEventLoop.sendfile "
            "BaseEventLoop.start_tls BaseEventLoop.getaddrinfo BaseEventLoop.getnameinfo "
            "BaseEventLoop.create_connection BaseEventLoop.create_server BaseEventLoop.create_unix_connection "
            "BaseEventLoop.create_unix_server BaseEventLoop.create_datagram_endpoint "
            "BaseEventLoop.connect_accepted_socket BaseEventLoop.connect_read_pipe BaseEventLoop.connect_write_pipe",
            _NO_IO,
            on="routilux_sim.world.aio.EventLoop",
        ),
        escapes(
            "BaseEventLoop.subprocess_exec BaseEventLoop.subprocess_shell",
            _NO_PROCESS,
            on="routilux_sim.world.aio.EventLoop",
        ),
        escapes(
            "BaseEventLoop.add_signal_handler BaseEventLoop.remove_signal_handler",
            "call what the handler would call",
            on="routilux_sim.world.aio.EventLoop",
        ),
    ),
    *module(
        "contextvars",
        allowed(
            "Context ContextVar Token copy_context", "each simulated thread has a context of its own, as real ones do"
        ),
    ),
    *module(
        "random",
        seeded(
            "betavariate binomialvariate choice choices expovariate gammavariate gauss getrandbits lognormvariate "
            "normalvariate paretovariate randbytes randint random randrange sample shuffle triangular uniform "
            "vonmisesvariate weibullvariate",
            "the module's generator is seeded for each execution",
            on="routilux_sim.world.install.World.inhabited",
        ),
        seeded("SystemRandom", on="os.urandom"),
        seeded("Random seed", "seeds itself from the execution's where no seed is given"),
        allowed("getstate setstate", "of the module's generator, which is seeded for each execution"),
        allowed("main", "a command line"),
    ),
    *module(
        "secrets",
        seeded("SystemRandom choice randbelow randbits token_bytes token_hex token_urlsafe", on="os.urandom"),
        allowed("compare_digest", "computes"),
    ),
    *module(
        "uuid",
        seeded("uuid4", on="os.urandom"),
        seeded("uuid1", "of the virtual clock, and a made-up machine", on="uuid.getnode"),
        simulated("getnode", "a made-up machine's"),
        allowed("UUID uuid3 uuid5 main", "computes"),
    ),
)
