#!/usr/bin/env python
"""A job that waits for a person: paused by a handler, saved to a file, resumed from there, perhaps days later.

python examples/approval.py
"""

import tempfile
from pathlib import Path

from routilux import Flow, JobState, Routine


class Order(Routine):
    """Lets small orders through, and asks about large ones."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.check)
        self.define_event("accepted", ["item", "amount"])

    def check(self, item: str, amount: int):
        if amount < 1000:
            self.emit("accepted", item=item, amount=amount)
            return
        # Emitted when the job is resumed, in whatever process that is.
        self.emit_deferred_event("accepted", item=item, amount=amount)
        here = self.get_execution_context()
        here.flow.pause(here.job_state, reason=f"{item} for {amount} needs a signature")


class Ship(Routine):
    """Says what it ships."""

    def __init__(self):
        super().__init__()
        self.define_slot("order", handler=self.ship)

    def ship(self, item: str, amount: int):
        self.send_output("shipped", item=item, amount=amount)


def make_flow() -> Flow:
    flow = Flow("orders", execution_strategy="concurrent")
    flow.add_routine(Order(), "order")
    flow.add_routine(Ship(), "ship")
    flow.connect("order", "accepted", "ship", "order")
    return flow


def ask(path: Path) -> None:
    """Begin the job, and put it away once it waits for somebody."""
    flow = make_flow()
    job = flow.execute("order", {"item": "a printing press", "amount": 4200})
    # A paused job does not keep a flow from shutting down: it stays as it is.
    flow.shutdown(wait=True)
    print(f"{job.status}: {job.pause_reason}")
    job.save(path)


def approve(path: Path) -> JobState:
    """Somebody has signed: let the job go on."""
    with make_flow() as flow:
        job = flow.resume(JobState.load(path))
        assert JobState.wait_for_completion(flow, job, timeout=10.0)
    return job


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "order.json"
        ask(path)
        job = approve(path)
    shipped = [output["data"] for output in job.output_log]
    print(f"{job.status}: shipped {shipped}")
    assert (job.status, shipped) == ("completed", [{"item": "a printing press", "amount": 4200}])


if __name__ == "__main__":
    main()
