"""Tables, verdicts and the page, of results that were made up."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.bars import bars, ratio
from bench.deliveries import Delivery, Stall
from bench.downloads import Crowd, Download, SmallFiles
from bench.publishing import Publish
from bench.report import fanout, idle, markdown, number, publish, readme_lines, stall, table
from bench.results import FULL, QUICK, Results, load, save
from bench.topics import KINDS, TopicRun, memory_each


def delivery(
    server: str, rate: float, cpu_us: float, share: float = 1, held: float = 2000
) -> Delivery:
    return Delivery(
        server=server,
        connections=1000,
        rate=rate,
        expected=1000,
        delivered=int(1000 * share),
        cpu_us=cpu_us,
        p50_ms=1.5,
        p99_ms=20,
        connect_seconds=2,
        connection_bytes=held,
        seconds=4,
        peak_bytes=50 << 20,
        publish_errors=0,
        client_cpu=0.3,
    )


RESULTS = Results(
    machine="a machine",
    when={"fanout": "today", "idle": "today", "stall": "today", "downloads": "today"},
    servers={"serve it": "ours: 1.0"},
    skipped={"idle: mercure": "not there"},
    fanout=[
        *(delivery("ours", 100, cpu) for cpu in (5, 7)),
        delivery("nchan", 100, 10, share=0.5),
        delivery("ours", 400, 1),
        delivery("nchan", 400, 8, share=0.28),
    ],
    publish=[
        Publish("ours, Redis", "single", 32, 1, 4000, 150, 20, 0.1),
        Publish("ours, Redis", "NDJSON lines", 4, 512, 45_000, 16, 8, 0.1),
    ],
    topics=[
        TopicRun("ours", kind.what, topics, delivery("ours", kind.rate, cpu, held=held))
        for kind, topics, cpu, held in zip(
            KINDS,
            (1, 51_000, 1, 49_001),
            (100, 150, 8, 20),
            (9e6, 22_000, 2000, 20_000),
            strict=True,
        )
    ],
    idle=[delivery("ours", 2, 10), delivery("nchan", 2, 12, held=10000)],
    stall=[Stall("ours", 500, 1 << 16, 1 << 15, 499, 1, 4096, 4096, 500 * 4096 - 7)],
    downloads=[
        Download("ours", 1 << 30, 1, 1, 0.001, 60 << 20, 0),
        Download("nginx", 1 << 30, 0.9, 0.8, 0.001, 11 << 20, 0),
    ],
    small=[SmallFiles("ours", 16384, 10000, 100)],
    crowd=[Crowd("ours", 100, 1 << 20, 1e9)],
    types=[Download("JSON in memory", 1 << 30, 3, 3, 2.5, 3 << 30, 3 << 30)],
)


def verdicts(results: Results) -> dict[tuple[str, str], str]:
    return {(bar.what, bar.limit): bar.verdict for bar in bars(results)}


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="as long as the head"):
        table(["a", "b"], [["1"]])


def test_numbers_have_three_figures_or_separated_thousands() -> None:
    assert [number(n) for n in (0.01234, 9.876, 12.34, 1234567.8)] == [
        "0.0123",
        "9.88",
        "12.3",
        "1,234,568",
    ]


def test_fan_out_shows_the_median_and_what_was_not_delivered() -> None:
    ours, nchan = fanout(RESULTS).splitlines()[2:]
    assert ours.startswith("| **ours** | - | - | 6 |")
    assert "| 10 (50% delivered) |" in nchan


def test_a_stalled_reader_that_lost_something_is_seen() -> None:
    assert "| **ours** | 64 | 32 | 499 of 500 |" in stall(RESULTS)
    what = "each of 500 stalled readers gets every event afterwards"
    assert verdicts(RESULTS)[what, "all"] == "MISS"


def test_memory_that_shrank_is_no_negative_cost() -> None:
    assert "| x | 0 |" in idle(replace(RESULTS, idle=[delivery("x", 2, 1, held=-50)]))


def test_the_bars_pass_miss_or_were_not_measured() -> None:
    found = verdicts(RESULTS)
    assert found["memory for each of 10,000 idle connections", "≤ 3.5 kB"] == "PASS"
    assert found["burst, 400 events/s × 1,000", "all delivered"] == "PASS"
    assert found["1,024 MiB download, CPU (s)", "≤ 1.2 × nginx"] == "MISS"
    what = "batch of NDJSON published to Redis (AOF), events a second and core"
    assert found[what, "≥ 50,000"] == "PASS"
    assert found["memory for each of 100,000 topics", "≤ 512 B"] == "PASS"
    what = "CPU per delivery with 100,000 topics, an event for {}, to one topic's"
    assert found[what.format("one subscriber"), "≤ 2 ×"] == "PASS"
    assert found[what.format("all"), "≤ 2 ×"] == "MISS"
    assert found["deliveries a second and core, saturated", "≥ 3 × nchan"] == "PASS"
    what = "CPU per delivery, 1,000 subscribers, 100 events/s (µs)"
    assert found[what, "≤ 0.8 × nchan"] == "PASS"
    assert found[what, "≤ 0.6 × mercure"] == "not measured"


def test_a_burst_that_was_not_delivered_in_full_misses() -> None:
    results = replace(RESULTS, fanout=[delivery("ours", 400, 1, share=0.999)])
    assert verdicts(results)["burst, 400 events/s × 1,000", "all delivered"] == "MISS"


def test_a_ratio_at_its_limit_passes() -> None:
    assert ratio("x", 8, 10, 0.8, "nchan").passed
    assert ratio("x", 8.1, 10, 0.8, "nchan").passed is False


def test_the_bar_of_batches_tells_what_it_is_with_redis() -> None:
    (bar,) = (bar for bar in bars(RESULTS) if bar.what.startswith("batch of NDJSON"))
    assert bar.measured == "62,500 (41,667 with Redis's CPU)"


def test_memory_of_a_topic_is_what_many_hold_more_than_one() -> None:
    assert memory_each(RESULTS.topics, "ours") == (22_000 - 2000) * 1000 / (51_000 - 1)


def test_events_for_a_core_are_told_apart_from_events_a_second() -> None:
    assert "| **ours, Redis** | 512 NDJSON lines | 4 | 45,000 | 16 | 62,500 | 8 | 10% |" in publish(
        RESULTS
    )


def test_the_page_names_what_was_skipped_and_what_ran() -> None:
    page = markdown(RESULTS, "plot.svg")
    assert "- idle: mercure: not there" in page
    assert "- ours: 1.0: `serve it`" in page
    assert "![The main figures as bars](plot.svg)" in page
    assert "Measured today." in page
    assert "Not measured." in page  # the types of response
    assert "$" not in page


def test_lines_for_the_readme() -> None:
    cpu, memory, batch, download = readme_lines(RESULTS)
    assert cpu.endswith("1,000 subscribers: ours 6, nchan 10.")
    assert memory.endswith("idle connections: ours 2, nchan 10.")
    assert batch.endswith("in batches: ours, Redis 45,000.")
    assert download.endswith("1,024 MiB: ours 1, nginx 0.8.")


def test_results_are_read_back_as_they_were(tmp_path: Path) -> None:
    save(RESULTS, tmp_path / "results.json")
    again = load(tmp_path / "results.json", FULL)
    assert markdown(again, "") == markdown(RESULTS, "")
    assert again.scale == FULL


def test_results_of_another_scale_or_form_are_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    save(RESULTS, path)
    assert load(path, QUICK) == Results(QUICK)
    path.write_text('{"scale": {}}')
    assert load(path, FULL) == Results(FULL)


def test_the_plot_is_the_same_for_the_same_results(tmp_path: Path) -> None:
    from bench.plot import draw  # matplotlib, slow to import, is loaded only here

    assert draw(RESULTS, tmp_path / "a.svg")
    assert draw(RESULTS, tmp_path / "b.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "kB per idle connection" in text
    assert not draw(Results(), tmp_path / "none.svg")


def test_the_command_line_renders_without_measuring(tmp_path: Path) -> None:
    save(RESULTS, tmp_path / "results.json")
    output = tmp_path / "docs/benchmarks.md"
    assert main(["--render", "--work", str(tmp_path), "--output", str(output)]) == 0
    assert output.read_text().startswith("# Benchmarks\n")
    assert output.with_suffix(".svg").exists()
