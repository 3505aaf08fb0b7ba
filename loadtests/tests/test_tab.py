"""The tab's data from Locust's web server, and the downloads there."""

import csv
import json
import re
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient

from loadtests import tab
from loadtests.measures import Measures

PAGE = "<html><head><title>Locust</title></head><body></body></html>"
ROUTES = ["snapshot", "kinds.csv", "histograms.csv", "series.csv", "report"]
FAULT = "lost 2 </script><b>events"


@pytest.fixture
def measures() -> Measures:
    made = Measures()
    made.begin()
    made.judge = lambda _: [FAULT]
    made.kinds["events"].open = 3
    made.kinds["events"].lost = 2
    made.histograms["connect"].add(0.25)
    made.kinds["events"].received = 50
    made.tick(made.began + 5)
    made.end()
    return made


def client(
    measures: Measures, asked: Any = lambda view: view, base: str | None = None
) -> FlaskClient:
    """Of a web server as Locust's is, whose `auth_required_if_enabled` is `asked`."""
    app = Flask(__name__)
    locust = Blueprint("locust", __name__, url_prefix=base)
    locust.add_url_rule("/", "index", lambda: PAGE)
    locust.add_url_rule("/other", "other", lambda: PAGE)
    app.register_blueprint(locust)
    options = SimpleNamespace(host="http://suite", run_time=None, stall=40.0, web_base_path=base)
    web_ui = SimpleNamespace(app=app, template_args={}, auth_required_if_enabled=asked)
    environment = SimpleNamespace(web_ui=web_ui, parsed_options=options)
    tab.add(environment, measures.snapshot, ["stall"])
    assert web_ui.template_args["extended_tabs"][0]["component"] == "eddyline-streams"
    return app.test_client()


def table(client: FlaskClient, name: str) -> list[dict[str, str]]:
    answer = client.get(f"/streams/{name}.csv")
    assert answer.headers["Content-Disposition"].startswith(
        f'attachment; filename="eddyline-{name}-'
    )
    return list(csv.DictReader(answer.text.splitlines()))


@pytest.mark.parametrize("base", [None, "/locust"])
def test_locusts_page_and_no_other_gets_the_scripts(measures: Measures, base: str | None) -> None:
    web = client(measures, base=base)
    page = web.get(f"{base or ''}/").text
    files = re.findall(r'(?:src|href)="\./([^"]+)"', page)
    assert files == [f"streams/static/{name}" for name in ("streams.css", "chart.js", "streams.js")]
    for file in files:
        with web.get(f"{base or ''}/{file}") as answer:
            assert answer.status_code == 200
    assert web.get(f"{base or ''}/other").text == PAGE


def test_the_figures_are_those_of_the_snapshot(measures: Measures) -> None:
    web = client(measures)
    snapshot = measures.snapshot()
    assert web.get("/streams/snapshot").json == json.loads(json.dumps(snapshot))

    kinds = {row.pop("kind"): row for row in table(web, "kinds")}
    assert kinds == {
        kind: {name: str(count) for name, count in counters.items()}
        for kind, counters in snapshot["kinds"].items()
    }
    (connect,) = [row for row in table(web, "histograms") if row["histogram"] == "connect"]
    assert (connect["count"], connect["max"]) == ("1", "0.25")
    series = table(web, "series")
    assert [int(row["events"]) for row in series] == [p["events"] for p in snapshot["series"]]
    assert {row["open events"] for row in series} == {"3"}
    assert {row["lost"] for row in series[-1:]} == {"2"}


def test_tables_of_nothing_are_empty() -> None:
    web = client(Measures())
    assert table(web, "series") == table(web, "histograms") == []
    assert len(table(web, "kinds")) == 5


def test_a_report_has_all_in_it_and_asks_nobody(measures: Measures) -> None:
    page = client(measures).get("/streams/report").text
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)[\w./:]+""", page) == []
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    told = json.loads(data)
    assert told["verdict"] == [FAULT]
    assert told["kinds"] == measures.snapshot()["kinds"]
    assert told["settings"] == {"host": "http://suite", "stall": "40.0"}
    assert "class Chart" in page
    assert "class EddylineStreams" in page


def test_where_locust_asks_for_a_login_all_of_it_does(measures: Measures) -> None:
    def refuse(view: Any) -> Any:
        return wraps(view)(lambda **_: ("who are you?", 401))

    web = client(measures, asked=refuse)
    assert [web.get(f"/streams/{route}").status_code for route in ROUTES] == [401] * len(ROUTES)


def points(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {
            "t": t,
            "open": {"events": t},
            "events": t,
            "p50": 0.1,
            "p99": 9.0 if t == 1001 else 0.2,
            "lost": t,
            "repeated": 0,
        }
        for t in range(first, last)
    ]


def test_a_short_series_stays_as_it_is() -> None:
    series = points(0, tab.POINTS)
    assert tab.thin(series) == series


def test_of_a_long_series_each_point_is_the_worst_of_its_span() -> None:
    series = points(0, 7200)
    thinned = tab.thin(series)
    assert len(thinned) == 225
    assert thinned[0] == {
        "t": 31,
        "open": {"events": 31},
        "events": 15.5,
        "p50": 0.1,
        "p99": 0.2,
        "lost": 31,
        "repeated": 0,
    }
    assert [point["t"] for point in thinned if point["p99"] == 9.0] == [1023]
    # Where the first points are forgotten, the others are in the spans that they were in.
    assert tab.thin(points(70, 7270))[1:223] == thinned[3:]
