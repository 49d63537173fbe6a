"""The language and the interpreter: built-in functions, and modules that hold or wrap rather than wait."""

from __future__ import annotations

from routilux_sim.boundary.rows import Entry, allowed, escapes, module

__all__ = ["ENTRIES", "MODULES"]

MODULES = (
    "builtins",
    "sys",
    "gc",
    "weakref",
    "atexit",
    "functools",
    "contextlib",
    "hashlib",
    "logging",
    "sqlite3",
)

_COMPUTES = "computes"
_MACHINE = "tells about the interpreter, which is the real one"
_SETTING = "a setting of the interpreter, which is the real one"
_TRACING = "for debuggers and coverage: simulated threads are traced as the one thread that they run in"

ENTRIES: tuple[Entry, ...] = (
    *module(
        "builtins",
        escapes(
            "input",
            "keep real input and output out of the program: give it its answers; a debugger's prompt is allowed",
            event="builtins.input",
        ),
        allowed("open", "files are real; opening a pipe, a terminal or a source of randomness is stopped"),
        allowed("print", "writes to where standard output goes"),
        allowed("breakpoint", "debuggers work as ever, and virtual time stands still meanwhile"),
        allowed("id", "an address: a program whose order depends on it is not reproducible"),
        allowed("hash", "of text it depends on PYTHONHASHSEED: a program whose order does is not reproducible"),
        allowed("exec eval compile", "runs code, for which the same rules hold"),
        allowed(
            "abs aiter all anext any ascii bin bool bytearray bytes callable chr classmethod complex delattr dict dir "
            "divmod enumerate filter float format frozenset getattr globals hasattr hex int isinstance issubclass iter "
            "len list locals map max memoryview min next object oct ord pow property range repr reversed round set "
            "setattr slice sorted staticmethod str sum super tuple type vars zip copyright credits license exit "
            "quit help",
            _COMPUTES,
        ),
    ),
    *module(
        "sys",
        allowed("settrace setprofile gettrace getprofile call_tracing", _TRACING),
        allowed(
            "setswitchinterval getswitchinterval",
            "for real threads: how simulated ones take turns is the strategy's choice",
        ),
        allowed("exit", "raises SystemExit, as it does in real threads"),
        allowed("excepthook unraisablehook displayhook breakpointhook", "reports"),
        allowed("addaudithook audit", "hooks hear what simulated threads do as well"),
        allowed("get_asyncgen_hooks set_asyncgen_hooks", "each simulated thread has its own"),
        allowed(
            "get_coroutine_origin_tracking_depth set_coroutine_origin_tracking_depth",
            "each simulated thread has its own",
        ),
        allowed(
            "exc_info exception getrecursionlimit getallocatedblocks getdefaultencoding getdlopenflags "
            "getfilesystemencodeerrors getfilesystemencoding getrefcount getsizeof get_int_max_str_digits "
            "getunicodeinternedsize intern is_finalizing is_stack_trampoline_active",
            _MACHINE,
        ),
        allowed(
            "setrecursionlimit setdlopenflags set_int_max_str_digits activate_stack_trampoline "
            "deactivate_stack_trampoline",
            _SETTING,
        ),
    ),
    *module(
        "gc",
        allowed(
            "collect disable enable freeze get_count get_debug get_freeze_count get_objects get_referents "
            "get_referrers get_stats get_threshold is_finalized is_tracked isenabled set_debug set_threshold unfreeze",
            "collecting waits until an execution has ended, unless the program asks for it",
        ),
    ),
    *module(
        "weakref",
        allowed(
            "CallableProxyType KeyedRef ProxyType ReferenceType WeakKeyDictionary WeakMethod WeakSet "
            "WeakValueDictionary finalize getweakrefcount getweakrefs proxy ref",
            "references count as ever; a cycle is found when an execution has ended",
        ),
    ),
    *module(
        "atexit",
        allowed("register unregister", "for the end of the real process, not for that of the simulated program"),
    ),
    *module(
        "functools",
        allowed(
            "cache cached_property cmp_to_key lru_cache partial partialmethod reduce singledispatch "
            "singledispatchmethod total_ordering update_wrapper wraps",
            "as it comes; what it locks with is of threading, or takes no time",
        ),
    ),
    *module(
        "contextlib",
        allowed(
            "AbstractAsyncContextManager AbstractContextManager AsyncContextDecorator AsyncExitStack ContextDecorator "
            "ExitStack aclosing asynccontextmanager chdir closing contextmanager nullcontext redirect_stderr "
            "redirect_stdout suppress",
            "as it comes",
        ),
    ),
    *module(
        "hashlib",
        allowed(
            "blake2b blake2s file_digest md5 new pbkdf2_hmac scrypt sha1 sha224 sha256 sha384 sha3_224 sha3_256 "
            "sha3_384 sha3_512 sha512 shake_128 shake_256",
            _COMPUTES,
        ),
    ),
    *module(
        "logging",
        allowed(
            "BufferingFormatter FileHandler Filter Filterer Formatter Handler LogRecord Logger LoggerAdapter Manager "
            "NullHandler PercentStyle PlaceHolder RootLogger StrFormatStyle StreamHandler StringTemplateStyle "
            "addLevelName basicConfig captureWarnings critical currentframe debug disable error exception fatal "
            "getHandlerByName getHandlerNames getLevelName getLevelNamesMapping getLogRecordFactory getLogger "
            "getLoggerClass info log makeLogRecord setLogRecordFactory setLoggerClass shutdown warn warning",
            "as it comes, with times and thread names of the simulation; what a handler writes is real",
        ),
    ),
    *module(
        "sqlite3",
        allowed(
            "Blob Connection Cursor PrepareProtocol Row adapt complete_statement connect enable_callback_tracebacks "
            "register_adapter register_converter",
            "files are real; waiting for a database that another connection has locked takes real time, and its check "
            "of threads sees one thread",
        ),
    ),
)
