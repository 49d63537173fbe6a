"""Processes, signals, files and the operating system."""

from __future__ import annotations

from routilux_sim.boundary.rows import Entry, allowed, escapes, module, seeded

__all__ = ["ENTRIES", "MODULES"]

MODULES = (
    "os",
    "subprocess",
    "multiprocessing",
    "signal",
    "fcntl",
    "mmap",
    "pty",
    "resource",
    "tempfile",
    "getpass",
    "readline",
    "faulthandler",
    "ctypes",
)

_NO_PROCESS = "keep other processes out of the simulated program"
_NO_IO = "keep real input and output out of the program"
_FILES = "files are real, and what the program finds in them is up to whoever calls it"
_DESCRIPTORS = "opens, closes or describes files, without waiting"
_MACHINE = "tells about the machine or the process; it may differ from one run to the next"
_SETS = "changes the real process"
_COMPUTES = "computes"
_NO_CHILD = "there are no child processes in a simulation"
_QUEUE = "hand data over by a queue.Queue, which is simulated; regular files may be read and written"

_OS_FILES = (
    "access chdir chmod chown chroot chflags copy_file_range fchdir fchmod fchown fdatasync fstat fstatvfs fsync "
    "ftruncate fwalk getcwd getcwdb getxattr lchflags lchmod lchown link listdir listxattr lseek lstat makedirs mkdir "
    "mkfifo mknod open fdopen pathconf fpathconf posix_fadvise posix_fallocate pread preadv pwrite pwritev readlink "
    "remove removedirs removexattr rename renames replace rmdir scandir setxattr stat statvfs symlink sync truncate "
    "unlink utime walk DirEntry"
)

ENTRIES: tuple[Entry, ...] = (
    *module(
        "os",
        seeded("urandom getrandom"),
        escapes("fork", _NO_PROCESS, event="os.fork"),
        escapes("forkpty", _NO_PROCESS, event="os.forkpty"),
        escapes("system", _NO_PROCESS, event="os.system"),
        escapes("startfile", _NO_PROCESS, event="os.startfile"),
        escapes("posix_spawn posix_spawnp", _NO_PROCESS, event="os.posix_spawn"),
        escapes("execv execve", _NO_PROCESS, event="os.exec"),
        escapes("execl execlp", _NO_PROCESS, on="os.execv"),
        escapes("execle execlpe execvp execvpe", _NO_PROCESS, on="os.execve"),
        escapes("spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe", _NO_PROCESS, on="os.fork"),
        escapes("popen", _NO_PROCESS, on="subprocess.Popen"),
        escapes("kill", f"{_NO_PROCESS}; a program may send a signal to itself", event="os.kill"),
        escapes("killpg", _NO_PROCESS, event="os.killpg"),
        escapes("wait wait3 wait4 waitid waitpid", _NO_CHILD),
        escapes("read readv write writev", _QUEUE),
        escapes("sendfile splice eventfd_read eventfd_write", _QUEUE),
        escapes("lockf", "share a threading.Lock; LOCK_UN and locking without waiting are allowed", event="os.lockf"),
        escapes("sched_yield", "call time.sleep(0), which lets others run"),
        escapes(
            "timerfd_create timerfd_gettime timerfd_gettime_ns timerfd_settime timerfd_settime_ns",
            "use a threading.Timer, which is simulated",
        ),
        escapes("_exit abort", "raise SystemExit: this would end the tests too"),
        allowed(_OS_FILES, _FILES),
        allowed(
            "close closerange dup dup2 eventfd get_blocking set_blocking get_inheritable set_inheritable isatty "
            "login_tty memfd_create openpty grantpt posix_openpt ptsname unlockpt pidfd_open pipe pipe2 ttyname "
            "tcgetpgrp tcsetpgrp device_encoding",
            _DESCRIPTORS,
        ),
        allowed(
            "confstr cpu_count process_cpu_count ctermid get_exec_path get_terminal_size getegid getenv getenvb "
            "geteuid getgid getgrouplist getgroups getloadavg getlogin getpgid getpgrp getpid getppid getpriority "
            "getresgid getresuid getsid getuid sched_get_priority_max sched_get_priority_min sched_getaffinity "
            "sched_getparam sched_getscheduler sched_rr_get_interval sysconf times uname",
            _MACHINE,
        ),
        allowed(
            "initgroups nice putenv unsetenv register_at_fork sched_setaffinity sched_setparam sched_setscheduler "
            "setegid setpgrp seteuid setgid setgroups setns setpgid setpriority setregid setresgid setresuid "
            "setreuid setsid setuid umask unshare plock",
            _SETS,
        ),
        allowed(
            "PathLike WCOREDUMP WEXITSTATUS WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WSTOPSIG WTERMSIG fsdecode "
            "fsencode fspath major makedev minor sched_param stat_result statvfs_result strerror terminal_size "
            "times_result uname_result waitid_result waitstatus_to_exitcode",
            _COMPUTES,
        ),
    ),
    *module(
        "subprocess",
        escapes("Popen", _NO_PROCESS),
        escapes("run call check_call check_output getoutput getstatusoutput", _NO_PROCESS, on="subprocess.Popen"),
        allowed("CompletedProcess list2cmdline", _COMPUTES),
    ),
    *module(
        "multiprocessing",
        escapes("Process", _NO_PROCESS, on="multiprocessing.process.BaseProcess.start"),
        escapes("Pool", _NO_PROCESS, on="multiprocessing.synchronize.SemLock"),
        escapes("Manager", _NO_PROCESS, on="multiprocessing.process.BaseProcess.start"),
        escapes(
            "Lock RLock Condition Event Semaphore BoundedSemaphore Barrier Queue JoinableQueue SimpleQueue Value Array",
            "take what threading or queue have by that name, which is simulated",
            on="multiprocessing.synchronize.SemLock",
        ),
        allowed("Pipe RawArray RawValue", "memory, or a pair of sockets that are harmless until they are used"),
        allowed("active_children current_process parent_process", _NO_CHILD),
        allowed(
            "allow_connection_pickling cpu_count freeze_support get_all_start_methods get_context get_logger "
            "get_start_method log_to_stderr set_executable set_forkserver_preload set_start_method",
            "a setting, for processes that are not started",
        ),
    ),
    *module(
        "multiprocessing.process",
        escapes("BaseProcess.start", _NO_PROCESS),
    ),
    *module(
        "multiprocessing.synchronize",
        escapes("SemLock SemLock.__enter__", "take what threading has by that name, which is simulated"),
    ),
    *module(
        "multiprocessing.connection",
        escapes(
            "_ConnectionBase.recv _ConnectionBase.recv_bytes _ConnectionBase.recv_bytes_into _ConnectionBase.send "
            "_ConnectionBase.send_bytes _ConnectionBase.poll wait Listener Client",
            _QUEUE,
        ),
    ),
    *module(
        "_posixsubprocess",
        escapes("fork_exec", _NO_PROCESS),
    ),
    *module(
        "signal",
        escapes("alarm setitimer", "use a threading.Timer, which is simulated"),
        escapes("pause sigwait sigwaitinfo sigtimedwait", "wait for a threading.Event, which is simulated"),
        escapes(
            "pthread_kill",
            "simulated threads cannot be signalled; signal.raise_signal() runs the handler in the calling one",
            event="signal.pthread_kill",
        ),
        escapes("pidfd_send_signal", _NO_PROCESS),
        allowed("raise_signal", "the handler runs at once, in the simulated thread that called"),
        allowed(
            "signal getsignal siginterrupt set_wakeup_fd pthread_sigmask sigpending default_int_handler",
            "the handlers are the process's; a signal from outside is part of no schedule",
        ),
        allowed("getitimer strsignal struct_siginfo valid_signals", _MACHINE),
    ),
    *module(
        "fcntl",
        escapes("flock", "share a threading.Lock; LOCK_UN and LOCK_NB are allowed", event="fcntl.flock"),
        escapes("lockf", "share a threading.Lock; LOCK_UN and LOCK_NB are allowed", event="fcntl.lockf"),
        allowed("fcntl", "a setting of a file; waiting for a lock with F_SETLKW is stopped"),
        allowed("ioctl", "what a device does is not seen; one that waits is ended by the watchdog"),
    ),
    *module(
        "mmap",
        allowed("mmap", "memory, or a file's contents"),
    ),
    *module(
        "pty",
        escapes("fork", _NO_PROCESS, on="os.forkpty"),
        escapes("spawn", _NO_PROCESS, on="os.forkpty"),
        escapes("waitpid", _NO_CHILD),
        allowed("openpty master_open slave_open close", _DESCRIPTORS),
    ),
    *module(
        "resource",
        allowed("getpagesize getrlimit getrusage struct_rusage", _MACHINE),
        allowed("setrlimit prlimit", _SETS),
    ),
    *module(
        "tempfile",
        allowed(
            "NamedTemporaryFile SpooledTemporaryFile TemporaryDirectory TemporaryFile mkdtemp mkstemp mktemp",
            "files are real; their names may differ from one run to the next",
        ),
        allowed("gettempdir gettempdirb gettempprefix gettempprefixb", _MACHINE),
    ),
    *module(
        "getpass",
        escapes("getpass unix_getpass fallback_getpass win_getpass", f"{_NO_IO}: give the program its answers"),
        allowed("getuser", _MACHINE),
    ),
    *module(
        "readline",
        allowed(
            "add_history append_history_file clear_history get_begidx get_completer get_completer_delims "
            "get_completion_type get_current_history_length get_endidx get_history_item get_history_length "
            "get_line_buffer insert_text parse_and_bind read_history_file read_init_file redisplay remove_history_item "
            "replace_history_item set_auto_history set_completer set_completer_delims "
            "set_completion_display_matches_hook set_history_length set_pre_input_hook set_startup_hook "
            "write_history_file",
            "settings and history; reading a line is input(), which is stopped",
        ),
    ),
    *module(
        "faulthandler",
        allowed(
            "cancel_dump_traceback_later disable dump_traceback dump_traceback_later enable is_enabled register "
            "unregister",
            "for finding errors, in real time",
        ),
    ),
    *module(
        "ctypes",
        allowed(
            "CDLL PyDLL LibraryLoader CFUNCTYPE PYFUNCTYPE",
            "what foreign code does is not seen; looking up C functions that wait or start something is stopped",
        ),
        allowed(
            "ARRAY Array LittleEndianStructure LittleEndianUnion BigEndianStructure BigEndianUnion POINTER "
            "SetPointerType Structure Union addressof alignment byref c_bool c_buffer c_byte c_char c_char_p "
            "c_double c_float c_int c_int16 c_int32 c_int64 c_int8 c_long c_longdouble c_longlong c_short c_size_t "
            "c_ssize_t c_time_t c_ubyte c_uint c_uint16 c_uint32 c_uint64 c_uint8 c_ulong c_ulonglong c_ushort "
            "c_void_p c_voidp c_wchar c_wchar_p cast create_string_buffer create_unicode_buffer get_errno memmove "
            "memset pointer py_object resize set_errno sizeof string_at wstring_at",
            "memory",
        ),
    ),
)
