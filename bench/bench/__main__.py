"""The command line: `python -m bench` measures, and writes docs/benchmarks.md."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from bench.bars import bars
from bench.results import FULL, QUICK, SECTIONS, Results, load, machine, save
from bench.rivals import event_servers
from bench.suite import Suite, install_packages
from bench.tools import BenchError, say


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [server.name for server in event_servers(Path())]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures Eddyline beside other servers on this machine's loopback.",
        epilog="Rivals that are not there are skipped. MERCURE=, CENTRIFUGO= and DURABLE_STREAMS="
        " name programs.",
    )
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument(
        "--rivals",
        default="",
        help=f"separated by semicolons; of {'; '.join(names)}; nginx; FileResponse; …",
    )
    parser.add_argument("--quick", action="store_true", help="small: shows that everything works")
    parser.add_argument(
        "--work", type=Path, default=Path(".bench"), help="programs, files, results"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="default docs/benchmarks.md; with --quick or --rivals in the --work folder",
    )
    parser.add_argument(
        "--render", action="store_true", help="from the last results, measuring nothing"
    )
    parser.add_argument(
        "--no-install",
        action="store_true",
        help="do not apt-get nginx, nchan, pushpin and redis-server",
    )
    return parser.parse_args(argv)


def write(results: Results, output: Path) -> None:
    """The tables beside their plot; matplotlib, slow to import, is loaded only here."""
    from bench.plot import draw
    from bench.report import markdown, readme_lines

    plot = output.with_suffix(".svg")
    drawn = draw(results, plot)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown(results, plot.name if drawn else ""))
    say(f"wrote {output}")
    for bar in bars(results):
        print(f"{bar.verdict:>12}  {bar.what}: {bar.measured}  (bar: {bar.limit})")
    print("\nFor the README:\n" + "\n".join(readme_lines(results)))


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    chosen = arguments(argv)
    trial = chosen.quick or bool(chosen.rivals)
    default = chosen.work / "benchmarks.md" if trial else Path("docs/benchmarks.md")
    output, kept = (
        chosen.output or default,
        chosen.work / ("trial.json" if trial else "results.json"),
    )
    results = load(kept, QUICK if chosen.quick else FULL)
    if not chosen.render:
        if not chosen.no_install:
            install_packages()
        suite = Suite(
            replace(results, machine=machine()),
            chosen.work,
            [n for n in chosen.rivals.split(";") if n],
        )
        for section in chosen.only or SECTIONS:
            suite.run(section)
            save(suite.results, kept)
        results = suite.results
    write(results, output)
    return 1 if any(name.endswith(": ours") for name in results.skipped) else 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # set even where a shell has SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BenchError as error:
        sys.exit(f"bench: {error}")
