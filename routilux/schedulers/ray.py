"""Ray as an executor: `submit` returns a future, as that of a `ProcessPoolExecutor` does.

Ray itself is imported when an executor is made; it comes with ``routilux[ray]``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["RayExecutor"]


class RayExecutor:
    """Runs each call as a task of Ray's, once: if its worker dies, the future raises ``WorkerCrashedError``.

    Args:
        address: Of the cluster, ``"auto"`` for one that runs here; None: a new one on this machine, unless this process
            is connected already.
        cpus: How many processors each call needs.
        options: For ``ray.init``, if this process is not connected yet.

    Attributes:
        workers: How many calls the cluster has processors for at a time.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: There is no cluster at the address.
    """

    def __init__(self, address: str | None = None, *, cpus: float = 1, **options: Any) -> None:
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise ImportError("RayExecutor needs Ray, which is not installed: pip install 'routilux[ray]'") from error
        self._ray = ray
        self._is_own = not ray.is_initialized()
        if self._is_own:
            ray.init(address=address, **options)
        # Whether a call may be repeated is for who has submitted it to say.
        self._run: Any = ray.remote(num_cpus=cpus, max_retries=0)(_call)
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1) / cpus))

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Have ``fn(*args)`` run; both are pickled."""
        future: Future[Any] = self._run.remote(fn, *args).future()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - an executor's
        """Disconnect, if this executor has connected: what is under way is given up."""
        if self._is_own:
            self._ray.shutdown()


def _call(fn: Callable[..., Any], *args: Any) -> Any:
    return fn(*args)
