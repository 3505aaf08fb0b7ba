"""The client without an event loop, beside a suite in another process."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eddyline.client import AsyncClient, Client, LogLine, Message, Published, Refused


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Any]:
    with launch("eddyline_standalone") as served:
        yield served


@pytest.fixture
def client(suite: Any) -> Iterator[Client]:
    with Client(suite.url) as made:
        yield made


def test_it_has_the_methods_of_the_asynchronous_one() -> None:
    def methods(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    assert methods(Client) == methods(AsyncClient)


def test_every_service_is_reached(client: Client, tmp_path: Path) -> None:
    id = client.publish("blocking", {"n": 1})
    client.publish_many([{"topic": "blocking", "data": {"n": 2}}])
    results = list(client.publish_lines({"topic": "blocking", "data": {"n": n}} for n in (3, 4)))
    assert all(isinstance(result, Published) for result in results)
    with client.subscribe("blocking", after="earliest") as events:
        seen = []
        for message in events:
            assert isinstance(message, Message)
            seen.append(message.data["n"])
            if len(seen) == 4:
                break
        assert events.last_event_id != id
    assert seen == [1, 2, 3, 4]
    assert client.history("blocking", limit=1).more
    assert "blocking" in [topic.topic for topic in client.topics()]
    assert client.ticket().ticket
    [source] = client.log_sources()
    with client.tail(source, lines=1) as lines:
        assert isinstance(next(iter(lines)), LogLine)
    assert len(list(client.last_lines(source, 1))) >= 1
    assert "users.csv" in [file["path"] for file in client.files()]
    done = client.download("users.csv", tmp_path / "users.csv")
    assert done.path.stat().st_size == done.size
    answer = client.chat("Hello")
    assert "Hello" in answer.text()
    assert answer.finish_reason == "stop"
    with pytest.raises(Refused):
        client.kick_subject("")


def test_threads_share_it(client: Client) -> None:
    ids: list[str] = []

    def publish() -> None:
        ids.extend(client.publish("threads", n) for n in range(10))

    threads = [threading.Thread(target=publish) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 50


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_a_loop_of_its_own(client: Client) -> None:
    """As Celery and gunicorn fork, after the module with the client was imported."""
    client.publish("forked", "parent")
    child = os.fork()
    if child == 0:
        try:
            client.publish("forked", "child")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert [m.data for m in client.history("forked").messages] == ["parent", "child"]
    assert client.publish("forked", "parent again")
