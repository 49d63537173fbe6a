"""The same programs on executors that exist: a process pool, Dask on this machine, Ray on this machine."""

from __future__ import annotations

import pytest

from examples import concurrent_flow_demo as demo
from routilux.schedulers.futures import FuturesScheduler
from routilux_sim import simulate
from routilux_sim.executor import SimulatedExecutor
from tests.remote.programs import PROGRAMS


@pytest.fixture(scope="module")
def processes():
    """A scheduler on two processes."""
    with FuturesScheduler.processes(2) as scheduler:
        yield scheduler


@pytest.fixture(scope="module")
def dask():
    """A scheduler on a Dask cluster of two processes, on the loopback interface."""
    import distributed  # noqa: PLC0415 - it comes with `make test-dask`

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
    import ray  # noqa: PLC0415 - it comes with `make test-ray`

    ray.init(num_cpus=4, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield FuturesScheduler.ray()
    ray.shutdown()


each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)


@pytest.mark.real_time
@each_program
def test_on_a_process_pool(program, processes):
    """What is settled holds on a pool of processes."""
    program(processes)


@pytest.mark.dask
@pytest.mark.real_time
@pytest.mark.filterwarnings("default")
@each_program
def test_on_dask(program, dask):
    """What is settled holds on Dask."""
    program(dask)


@pytest.mark.ray
@pytest.mark.real_time
@pytest.mark.filterwarnings("default")
@each_program
def test_on_ray(program, ray):
    """What is settled holds on Ray."""
    program(ray)


def run_demo(monkeypatch, scheduler):
    """Run the demo's five parts as they are, on a scheduler that they know nothing of."""
    monkeypatch.setattr("routilux.flow._thread_pool", lambda: scheduler)
    return demo.run_parts()


@pytest.mark.real_time
def test_the_demo_holds_on_a_process_pool(monkeypatch):
    """Every promise of the page, unchanged: concurrent, in order, through errors, JSON and a change of strategy."""
    with FuturesScheduler.processes(4) as scheduler:
        measured = run_demo(monkeypatch, scheduler)
    assert measured.speedup > 1.5


@pytest.mark.dask
@pytest.mark.real_time
@pytest.mark.filterwarnings("default")
def test_the_demo_holds_on_dask(monkeypatch, dask):
    """Likewise."""
    assert run_demo(monkeypatch, dask).speedup > 1.5


@pytest.mark.ray
@pytest.mark.real_time
@pytest.mark.filterwarnings("default")
def test_the_demo_holds_on_ray(monkeypatch, ray):
    """Likewise."""
    assert run_demo(monkeypatch, ray).speedup > 1.2


def test_the_demo_holds_on_a_simulated_cluster(monkeypatch):
    """Likewise, and without latency in the very times that it has on threads."""

    def program():
        with FuturesScheduler(lambda: SimulatedExecutor(4)) as scheduler:
            return run_demo(monkeypatch, scheduler)

    measured = simulate(program, seed=3).result()
    assert (measured.sequential, measured.concurrent) == (0.65, 0.25)


def test_the_library_itself_imports_none_of_them():
    """``import routilux`` and the scheduler bring along neither Dask nor Ray nor cloudpickle."""
    code = (
        "import sys, routilux, routilux.schedulers.futures\n"
        "assert not {'dask', 'distributed', 'ray', 'cloudpickle'} & set(sys.modules), sys.modules\n"
    )
    import subprocess  # noqa: PLC0415 - for this test alone
    import sys  # noqa: PLC0415 - likewise

    subprocess.run([sys.executable, "-c", code], check=True)
