"""The race that hides in the demo's aggregator, and its mend.

``DataAggregator.aggregate`` appends a result and then tests whether there are three. When the last two results arrive
at the same instant, both calls may append before either tests: both find three, and ``aggregated`` is emitted twice.
With the demo's delays the last result comes alone, so the demo never shows it.

    routilux-sim explore examples.hidden_race:racy
    routilux-sim explore examples.hidden_race:mended
"""

from examples.concurrent_flow_demo import DataAggregator, create_concurrent_flow, run_and_wait
from routilux import Flow, Routine

__all__ = ["mended", "racy"]


class CarefulAggregator(DataAggregator):
    """Takes one result at a time: all that differs is ``max_concurrency=1``."""

    def __init__(self):
        Routine.__init__(self)
        self.input_slot = self.define_slot(
            "processed_data", handler=self.aggregate, merge_strategy="append", max_concurrency=1
        )
        self.output_event = self.define_event("aggregated", ["final_result", "total_count"])
        self._collected_results = []


def _aggregated(flow: Flow) -> int:
    """How often a job emits ``aggregated``, when all sources take the same time."""
    for fetcher in ("fetcher_1", "fetcher_2", "fetcher_3"):
        flow.routines[fetcher].set_config(delay=0.2)
    with flow:
        job, _ = run_and_wait(flow, "three at once")
    return sum(1 for record in job.execution_history if record.event_name == "aggregated")


def racy() -> None:
    """As the demo has it."""
    assert (count := _aggregated(create_concurrent_flow())) == 1, f"'aggregated' was emitted {count} times"


def mended() -> None:
    """With an aggregator that takes one result at a time."""
    flow = create_concurrent_flow()
    flow.routines["aggregator"] = CarefulAggregator()
    assert (count := _aggregated(flow)) == 1, f"'aggregated' was emitted {count} times"
