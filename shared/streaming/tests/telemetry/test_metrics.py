import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

from prometheus_client import REGISTRY

from eddyline.journal.base import Gap
from eddyline.telemetry import metrics
from eddyline.telemetry.metrics import StreamMetrics

WORKER = """
import sys
from eddyline.telemetry.metrics import StreamMetrics, drain_seconds, exposition
stream = StreamMetrics("demo", "pull")
for _ in range(int(sys.argv[1])):
    stream.begin()
stream.end("complete", 1.0)
drain_seconds.set(float(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.write(exposition().decode())
"""


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"service": "demo", "kind": "broadcast", **labels})


def test_a_stream_that_began_and_ended_leaves_no_gauge() -> None:
    stream = StreamMetrics("demo", "broadcast")
    stream.begin()
    stream.begin()
    assert value("eddyline_streams_open") == 2
    stream.end("drain", 20.0)
    stream.end("client_closed", 0.5)
    assert value("eddyline_streams_open") == 0
    assert value("eddyline_streams_started_total") == 2
    assert value("eddyline_streams_ended_total", reason="drain") == 1
    assert value("eddyline_streams_ended_total", reason="client_closed") == 1
    assert value("eddyline_stream_seconds_sum") == 20.5
    stream.reset("expired")
    assert value("eddyline_resets_total", reason="expired") == 1


def test_what_may_be_counted_is_there_before_it_is() -> None:
    """To Prometheus a counter that first appears with a value has not risen."""
    StreamMetrics("new", "broadcast")
    new = {"service": "new", "kind": "broadcast"}
    for reason in get_args(metrics.Reason):
        assert value("eddyline_streams_ended_total", **new, reason=reason) == 0
    for gap in get_args(Gap):
        assert value("eddyline_resets_total", **new, reason=gap) == 0
        assert value("eddyline_resumes_total", **new, result=gap) == 0
    assert value("eddyline_resumes_total", **new, result="complete") == 0
    assert REGISTRY.get_sample_value("eddyline_problems_total", {"status": "503"}) is not None


def test_the_exposition_is_prometheus_text() -> None:
    StreamMetrics("demo", "file").bytes.inc(7)
    lines = metrics.exposition().decode().splitlines()
    assert 'eddyline_sent_bytes_total{kind="file",service="demo"} 7.0' in lines
    assert "# HELP eddyline_streams_open Streams open now" in lines


def test_workers_are_added_up_and_the_dead_not_counted(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, count],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for count in ("3", "5")
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    text, _ = workers[0].communicate("\n", timeout=30)
    assert 'eddyline_streams_open{kind="pull",service="demo"} 6.0' in text
    assert 'eddyline_streams_started_total{kind="pull",service="demo"} 8.0' in text
    assert 'eddyline_stream_seconds_count{kind="pull",service="demo"} 2.0' in text
    # One value for the process group: no label for the worker that it came from.
    assert "\neddyline_drain_seconds 5.0" in text or "\neddyline_drain_seconds 3.0" in text
    workers[1].communicate("\n", timeout=30)
