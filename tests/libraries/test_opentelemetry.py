"""OpenTelemetry's batch span processor and its periodic reader: threads, events, and exporters that take their time."""

from __future__ import annotations

import time

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.libraries.claims import at_once, breaks, exact, holds


class Exporter(SpanExporter):
    """Notes which spans it was given, and when it was done with them."""

    def __init__(self, delay):
        self.delay = delay
        self.batches = []
        self.is_shut = False

    def export(self, spans):
        assert not self.is_shut
        time.sleep(self.delay)
        self.batches.append((time.monotonic(), [span.name for span in spans]))
        return SpanExportResult.SUCCESS

    def shutdown(self):
        self.is_shut = True

    @property
    def names(self):
        return sorted(name for _, names in self.batches for name in names)


def tracing(delay=0.0, **options):
    exporter = Exporter(delay)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=5000, **options))
    return exporter, provider, provider.get_tracer("tests")


class Reader(MetricExporter):
    """Notes what the counters stood at, and when."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        points = [
            point.value
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]
        self.noted.append((time.monotonic(), points))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass


def test_counters_are_read_every_minute_and_at_the_end():
    """No addition is lost, from however many threads."""

    def program():
        exporter = Reader()
        provider = MeterProvider(
            [PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)], shutdown_on_exit=False
        )
        counter = provider.get_meter("tests").create_counter("count")

        def work():
            for _ in range(3):
                counter.add(1)
                time.sleep(50)

        at_once(work, work)
        provider.shutdown()
        return exporter.noted

    assert exact(program) == [(60.0, [4]), (120.0, [6]), (150.0, [6])]


def test_every_span_is_exported_once():
    """From several threads, in batches that are not too large; shutting down exports the rest."""

    def program():
        exporter, provider, tracer = tracing(delay=0.1, max_export_batch_size=2)

        def work():
            for n in range(3):
                with tracer.start_as_current_span(str(n)):
                    time.sleep(0.1)

        at_once(work, work)
        provider.shutdown()
        assert exporter.names == ["0", "0", "1", "1", "2", "2"]
        assert max(len(names) for _, names in exporter.batches) <= 2
        assert exporter.is_shut

    holds(program)


def test_a_batch_that_is_not_full_waits_for_the_delay():
    """Five seconds after the one before, exactly; a full one goes at once."""

    def program():
        exporter, provider, tracer = tracing(max_export_batch_size=2)
        for n in range(3):
            tracer.start_span(str(n)).end()
            time.sleep(1)
        time.sleep(10)
        provider.shutdown()
        return exporter.batches

    assert exact(program) == [(1.0, ["0", "1"]), (6.0, ["2"])]


def test_flushing_exports_what_has_ended():
    """Also what the thread is exporting at that moment."""

    def program():
        exporter, provider, tracer = tracing(delay=0.5, max_export_batch_size=2)

        def work():
            for n in range(2):
                tracer.start_span(str(n)).end()
            assert provider.force_flush()
            assert {"0", "1"} <= set(exporter.names)

        at_once(work, work)
        assert exporter.names == ["0", "0", "1", "1"]
        provider.shutdown()

    holds(program)


def test_shutting_down_waits_for_a_stuck_exporter_half_a_minute():
    """And then shuts it down."""

    def program():
        exporter, provider, tracer = tracing(delay=100.0)
        tracer.start_span("slow").end()
        provider.shutdown()
        return time.monotonic(), exporter.is_shut, exporter.names

    assert exact(program) == (30.0, True, [])


@pytest.mark.parametrize("timeout", [1_000, 60_000])
def test_flushing_takes_as_long_as_the_exporter(timeout):
    """The timeout that `force_flush` takes is not looked at."""

    def program():
        _, provider, tracer = tracing(delay=100.0)
        tracer.start_span("slow").end()
        return provider.force_flush(timeout), time.monotonic()

    assert exact(program) == (True, 100.0)


def test_a_full_batch_may_have_to_wait_for_the_delay():
    """The thread clears the event after exporting: a batch that filled up before that wakes nobody."""

    def program():
        exporter, provider, tracer = tracing(delay=0.1, max_export_batch_size=2)

        def work():
            for n in range(3):
                tracer.start_span(str(n)).end()
                time.sleep(0.1)

        at_once(work, work)
        time.sleep(2)
        in_time = len(exporter.names)
        provider.shutdown()
        assert in_time == 6, f"a full batch has waited for two seconds: {exporter.batches}"

    breaks(program, "exception", "a full batch has waited for two seconds")


def test_who_shuts_down_second_does_not_wait():
    """It returns while the first one's export is under way: a process that ends then loses spans."""

    def program():
        exporter, provider, tracer = tracing(delay=0.1)
        tracer.start_span("last").end()

        def stop():
            provider.shutdown()
            assert exporter.names == ["last"], "not exported yet"

        at_once(stop, stop)

    breaks(program, "exception", "not exported yet")
