"""A tab "Streams" in Locust's own web UI: the measures as they come, and files of them to keep.

Locust's page takes the component of an added tab by its name. Ours is a custom element, which
static/streams.js defines; only the script itself must be put into the page.
"""

# Flask's decorators are typed, Locust's are not.
# mypy: disable-error-code="untyped-decorator"

import csv
import json
import time
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from flask import Blueprint, Response, request

#: The result of `Measures.snapshot`.
Snapshot = dict[str, Any]
Row = dict[str, Any]

#: A plot is as wide as a few hundred pixels, however long the run is.
POINTS = 360

#: Of Locust's options.
SETTINGS = ("host", "num_users", "spawn_rate", "run_time")

_STATIC = Path(__file__).with_name("static")
_SCRIPTS = ("chart.js", "streams.js")
_HEAD = '<link rel="stylesheet" href="./streams/static/streams.css">' + "".join(
    f'<script defer src="./streams/static/{name}"></script>' for name in _SCRIPTS
)


def add(environment: Any, snapshot: Callable[[], Snapshot], knobs: Iterable[str] = ()) -> None:
    """To the web UI of Locust's environment, which must have one.

    `knobs` are the names of the options that a report tells, beside Locust's own.
    """
    told = (*SETTINGS, *knobs)
    web_ui = environment.web_ui
    prefix = getattr(environment.parsed_options, "web_base_path", None)
    blueprint = Blueprint(
        "streams",
        __name__,
        url_prefix=(prefix or "") + "/streams",
        static_folder=_STATIC,
        static_url_path="/static",
    )

    @blueprint.get("/snapshot")
    @web_ui.auth_required_if_enabled
    def current() -> Response:
        return Response(json.dumps(_thinned(snapshot())), mimetype="application/json")

    @blueprint.get("/<any(kinds, histograms, series):table>.csv")
    @web_ui.auth_required_if_enabled
    def export(table: str) -> Response:
        return _download(to_csv(rows(snapshot(), table)), table, "csv")

    @blueprint.get("/report")
    @web_ui.auth_required_if_enabled
    def whole() -> Response:
        settings = {name: getattr(environment.parsed_options, name, None) for name in told}
        return _download(report(snapshot(), settings), "report", "html")

    @web_ui.app.after_request
    def with_script(response: Response) -> Response:
        if request.endpoint == "locust.index" and response.mimetype == "text/html":
            response.set_data(response.get_data(as_text=True).replace("</head>", _HEAD + "</head>"))
        return response

    web_ui.app.register_blueprint(blueprint)
    # The form has the knobs in the order that it finds them in.
    web_ui.app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}
    web_ui.template_args.setdefault("extended_tabs", []).append(
        {"title": "Streams", "key": "streams", "component": "eddyline-streams"}
    )


def thin(series: list[Row], most: int = POINTS) -> list[Row]:
    """About so many points at most, each the worst of its span of time, which never moves."""
    width = 1
    while len(series) > most * width:
        width *= 2
    if width == 1:
        return series
    return [_worst(list(span)) for _, span in groupby(series, lambda point: point["t"] // width)]


def rows(snapshot: Snapshot, table: str) -> Iterator[Row]:
    """Of "kinds", "histograms" or "series": one flat row each; times are seconds."""
    if table == "series":
        for point in snapshot["series"]:
            open = {f"open {kind}": count for kind, count in point["open"].items()}
            yield {key: value for key, value in point.items() if key != "open"} | open
    else:
        for name, values in snapshot[table].items():
            yield {table.removesuffix("s"): name} | values


def to_csv(rows: Iterator[Row]) -> str:
    """The columns are those of the last row: kinds may join during a run."""
    found = list(rows)
    text = StringIO()
    writer = csv.DictWriter(text, found[-1] if found else [], restval=0, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def report(snapshot: Snapshot, settings: Row) -> str:
    """A page of its own, plots included: it asks nothing of anybody.

    Of the settings those are told that are set.
    """
    told = {name: str(value) for name, value in settings.items() if value not in (None, "")}
    made = {"at": time.strftime("%Y-%m-%d %H:%M:%S %z"), "settings": told}
    page = Template((_STATIC / "report.html").read_text("utf-8"))
    return page.substitute(
        style=(_STATIC / "streams.css").read_text("utf-8"),
        script="\n".join((_STATIC / name).read_text("utf-8") for name in _SCRIPTS),
        # Else a name with "</script>" in it would end the element that holds it.
        snapshot=json.dumps(_thinned(snapshot) | made).replace("<", "\\u003c"),
    )


def _thinned(snapshot: Snapshot) -> Snapshot:
    return snapshot | {"series": thin(snapshot["series"])}


def _worst(span: list[Row]) -> Row:
    return span[-1] | {
        "events": round(sum(point["events"] for point in span) / len(span), 1),
        "p50": max(point["p50"] for point in span),
        "p99": max(point["p99"] for point in span),
    }


def _download(text: str, name: str, suffix: str) -> Response:
    name = f"eddyline-{name}-{time.strftime('%Y%m%d-%H%M%S')}.{suffix}"
    kind = "text/html" if suffix == "html" else "text/csv"
    return Response(
        text,
        content_type=f"{kind}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
