"""The end of a run: each bound with its margin, the verdict as the last lines, and JUnit's XML."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

from loadtests.verdict import Check


def closing(checks: Iterable[Check], faults: Sequence[str]) -> str:
    """The last lines: times against their bounds, then each fault, then one word for all."""
    timed = [check for check in checks if check.group == "seconds"]
    width = max((len(check.name) for check in timed), default=0)
    lines = [f"{check.name:<{width}}  {check.text}" for check in timed]
    lines += [f"FAILED: {fault}" for fault in faults]
    return "\n".join([*lines, "FAILED" if faults else "PASSED"])


def write_junit(path: Path, checks: Iterable[Check], snapshot: dict[str, Any]) -> None:
    """A test case for each bound, and one for the faults that are of none, such as lost workers."""
    found = list(checks)
    bounded = {check.fault for check in found}
    others = [fault for fault in snapshot["verdict"] if fault not in bounded]
    run = Check("run", "all else", "", "\n".join(others) or None)
    cases = [*found, run]
    suite = xml.Element(
        "testsuite",
        name="loadtests",
        tests=str(len(cases)),
        failures=str(sum(check.fault is not None for check in cases)),
        errors="0",
        time=f"{snapshot['elapsed']:.1f}",
    )
    for check in cases:
        case = xml.SubElement(suite, "testcase", classname=check.group, name=check.name)
        if check.fault is not None:
            xml.SubElement(case, "failure", message=check.fault.splitlines()[0]).text = check.fault
        if check.text:
            xml.SubElement(case, "system-out").text = check.text
    xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
