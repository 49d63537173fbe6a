"""Campaigns on clusters on this machine come to what one process comes to; a worker that dies costs nothing."""

import os
import signal

import pytest
from click.testing import CliRunner

from routilux.schedulers.ray import RayExecutor
from routilux_sim import cli_engines, explore
from routilux_sim.cli import cli
from tests.campaigns import programs
from tests.campaigns.programs import told

PROGRAMS = [programs.rare, programs.unlucky, programs.racy]


def command(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def cluster():
    import distributed  # noqa: PLC0415 - it comes with `make test-dask`

    options = {"processes": True, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def executor():
    executor = RayExecutor(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    yield executor
    executor.shutdown()


@pytest.mark.dask
@pytest.mark.filterwarnings("default")  # what Dask and Tornado leave behind at their end is theirs
class TestDask:
    """On a `LocalCluster` of two processes."""

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_it_comes_to_the_same(self, cluster, program):
        """With the executor of a client."""
        alone = told(explore(program, strategy="mix", schedules=600))
        with cluster.get_client() as client:
            assert told(explore(program, schedules=600, executor=client.get_executor(pure=False))) == alone

    def test_a_worker_that_is_killed_changes_nothing(self, cluster):
        """SIGKILL while it has chunks: Dask begins another one, and runs them there."""
        alone = told(explore(programs.passing, strategy="mix", schedules=3000))
        with cluster.get_client() as client:
            victims = list(client.run(os.getpid).values())

            def kill(count):
                if count > 300 and victims:
                    os.kill(victims.pop(), signal.SIGKILL)
                    victims.clear()

            report = explore(programs.passing, schedules=3000, executor=client.get_executor(pure=False), progress=kill)
        assert not victims
        assert told(report) == alone

    def test_the_command_line_connects(self, cluster, monkeypatch):
        """By its address; and says so when there is nothing there."""
        path = "tests.campaigns.programs:passing"
        result = command("explore", path, "--schedules", 300, "--dask", cluster.scheduler_address)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("passed: 300 schedules")
        monkeypatch.setattr(cli_engines, "PATIENCE", 0.5)
        result = command("explore", path, "--dask", "tcp://127.0.0.1:1")
        assert result.exit_code == 2
        assert "--dask: there is no Dask cluster at 'tcp://127.0.0.1:1'" in result.stderr


@pytest.mark.ray
@pytest.mark.filterwarnings("default")  # likewise
class TestRay:
    """On a cluster of two processors that the executor makes for itself."""

    def test_it_is_an_executor(self, executor):
        """Values and errors come back as futures, and it knows how many calls run at a time."""
        assert executor.workers == 2
        assert executor.submit(pow, 2, 5).result(60) == 32
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result(60)

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_it_comes_to_the_same(self, executor, program):
        """With chunks as tasks of Ray's."""
        alone = told(explore(program, strategy="mix", schedules=600))
        assert told(explore(program, schedules=600, executor=executor)) == alone

    def test_the_schedule_that_kills_is_found(self, executor):
        """By its seed, and nothing else is lost."""
        first = next(seed for seed in range(1000) if programs.is_deadly(seed))
        report = explore(programs.deadly, strategy="random", schedules=1000, executor=executor)
        assert report.verdict == "inconclusive"
        assert report.reason.startswith(f"seed {first} ends the process that runs it")
