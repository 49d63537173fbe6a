"""The same programs on executors that exist: a process pool, Dask on this machine, Ray on this machine."""

from __future__ import annotations

import importlib.util

import pytest

from routilux.schedulers.futures import FuturesScheduler
from tests.remote.programs import PROGRAMS


@pytest.fixture(scope="module")
def processes():
    """A scheduler on two processes."""
    with FuturesScheduler.processes(2) as scheduler:
        yield scheduler


@pytest.fixture(scope="module")
def dask():
    """A scheduler on a Dask cluster of two processes, on the loopback interface."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield FuturesScheduler.dask(client)


@pytest.fixture(scope="module")
def ray():
    """A scheduler on a Ray of its own."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield FuturesScheduler.ray()
    ray.shutdown()


each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)


@each_program
def test_on_a_process_pool(program, processes):
    """What is settled holds on a pool of processes."""
    program(processes)


@pytest.mark.long
@pytest.mark.filterwarnings("default")
@each_program
def test_on_dask(program, dask):
    """What is settled holds on Dask."""
    program(dask)


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
@each_program
def test_on_ray(program, ray):
    """What is settled holds on Ray."""
    program(ray)


def test_the_library_itself_imports_none_of_them():
    """``import routilux`` and the scheduler bring along neither Dask nor Ray nor cloudpickle."""
    code = (
        "import sys, routilux, routilux.schedulers.futures\n"
        "assert not {'dask', 'distributed', 'ray', 'cloudpickle'} & set(sys.modules), sys.modules\n"
    )
    import subprocess  # noqa: PLC0415 - for this test alone
    import sys  # noqa: PLC0415 - likewise

    subprocess.run([sys.executable, "-c", code], check=True)
    assert importlib.util.find_spec("routilux.remote.worker") is not None
