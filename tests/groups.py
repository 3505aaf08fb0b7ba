"""Tests of one `xdist_group` run in one process.

pytest-xdist 3.8 tells its scheduler of groups by ids that pytest 9.2 no longer lets it change
(github.com/pytest-dev/pytest-xdist/issues/1386). Here a worker tells ids of that form.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest


def with_group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return f"{item.nodeid}@{mark.args[0]}" if mark else item.nodeid


@pytest.hookimpl(wrapper=True)
def pytest_collection_finish(session: pytest.Session) -> Iterator[None]:
    if not hasattr(session.config, "workerinput"):
        return (yield)
    items = session.items
    session.items = [SimpleNamespace(nodeid=with_group(item)) for item in items]  # type: ignore[misc]
    try:
        return (yield)
    finally:
        session.items = items
