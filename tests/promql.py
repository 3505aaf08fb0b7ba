"""As much of PromQL as it takes to tell which metrics and labels an expression names."""

import re
from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase

from eddyline.telemetry import metrics

#: The labels that Prometheus adds to each series: by the configuration of its targets.
TARGET = frozenset(("job", "instance", "namespace", "pod"))

#: Prometheus's own.
OWN = {
    "up": TARGET,
    "scrape_duration_seconds": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate"},
}

_SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\s*\{([^}]*)\})?")
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORDS = frozenset(("by", "without", "on", "ignoring", "and", "or", "unless", "bool", "offset"))


def known() -> dict[str, frozenset[str]]:
    """The labels of each series that the suite has, by its name."""
    found = dict(OWN)
    for metric in vars(metrics).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        labels = TARGET | set(metric._labelnames)
        name = metric.describe()[0].name
        match metric.describe()[0].type:
            case "counter":
                found[f"{name}_total"] = labels
            case "histogram":
                found |= {f"{name}_sum": labels, f"{name}_count": labels}
                found[f"{name}_bucket"] = labels | {"le"}
            case _:
                found[name] = labels
    return found


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, and by which labels each is selected."""
    bare = re.sub(r"\[[^\]]*\]", "", _without_strings(expression))
    bare = _GROUPING.sub(" ", bare)
    bare = re.sub(r"\boffset\s+\w+|\b[\d.]+(?:[smhdwy]|e\d+)?\b", " ", bare)
    for match in _SELECTOR.finditer(bare):
        if match[1] not in _WORDS:
            matchers = (match[2] or "").split(",")
            yield match[1], {re.split(r"[=!]", m)[0].strip() for m in matchers if m.strip()}


def groupings(expression: str) -> set[str]:
    """The labels that it groups or joins by."""
    found = _GROUPING.findall(_without_strings(expression))
    return {label.strip() for _, labels in found for label in labels.split(",") if label.strip()}


def faults(expression: str) -> list[str]:
    """The names in it that the suite does not have."""
    series = known()
    found, labels = [], set[str]()
    for metric, matched in selectors(expression):
        if metric not in series:
            found.append(f"there is no metric {metric}")
            continue
        labels |= series[metric]
        found += [f"{metric} has no label {label}" for label in matched - series[metric]]
    found += [f"no metric there has a label {label}" for label in groupings(expression) - labels]
    return found


def _without_strings(expression: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
