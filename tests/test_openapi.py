"""The OpenAPI documents of the services and of the suite: valid, complete, and true."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from eddyline.service.registry import registrations
from eddyline.service.settings import Settings
from eddyline.testing import running
from eddyline.wire.sse import Parser
from eddyline_standalone.app import create_app

pytestmark = pytest.mark.xdist_group("openapi")

SERVICES = registrations()
NAMES = [*SERVICES, "suite"]

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
OPENAI_PATHS = ("/v1/chat", "/v1/models", "/v1/generations", "/v1/responses")
OPENAI = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}}


class Operation(NamedTuple):
    method: str
    path: str
    about: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.about["operationId"])


def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(method, path, about)
        for path, item in document["paths"].items()
        for method, about in item.items()
    ]


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENTS_MERCURE_SUBSCRIPTIONS", "1")
        apps = {name: service.create_app() for name, service in SERVICES.items()}
        apps["suite"] = create_app(Settings.read(), list(SERVICES.values()))
    return {name: app.openapi() for name, app in apps.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_valid(name: str, documents: dict[str, Any]) -> None:
    validate(documents[name])


def test_operations_have_readable_names_that_no_other_has(documents: dict[str, Any]) -> None:
    found = operations(documents["suite"])
    ids = [operation.id for operation in found]
    assert len(ids) == len(set(ids))
    assert not [id for id in ids if not re.fullmatch("[a-z0-9]+(_[a-z0-9]+)*", id)]
    assert {"subscribe", "publish", "read_history", "list_files", "download_file"} <= set(ids)
    named = {(method, path): about["operationId"] for method, path, about in found}
    for name in SERVICES:
        for operation in operations(documents[name]):
            assert named[operation.method, operation.path] == operation.id


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_a_schema(name: str, documents: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in documents[name]["components"]["schemas"]
    for operation in operations(documents[name]):
        for status, response in operation.about["responses"].items():
            if status in ("412", "416"):
                # Empty: clients that resume would add a body to their file.
                assert "content" not in response
            elif status[0] in "45" and operation.id != "readyz":
                # Subscriptions of streams have refusals of their protocol as well; the routes of
                # OpenAI's API have errors in its form alone.
                speaks_openai = operation.path.startswith(OPENAI_PATHS)
                expected = OPENAI if speaks_openai else PROBLEM
                assert response["content"].items() >= expected.items(), (operation.id, status)
            for media_type, content in response.get("content", {}).items():
                where = (operation.id, status, media_type)
                assert set(content["schema"]) & {"$ref", "type", "anyOf"}, where
                if media_type in ("text/event-stream", "application/x-ndjson"):
                    assert content["schema"]["contentSchema"]["items"], where


async def test_a_parameter_that_no_document_has_is_refused_by_name(
    documents: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is misspelt would change the answer in silence: `topik` would be all topics."""
    monkeypatch.setenv("EVENTS_MERCURE_SUBSCRIPTIONS", "1")
    monkeypatch.setenv("DOWNLOADS_STORE", str(tmp_path))
    app = create_app(Settings(log_level="error"), list(SERVICES.values()))
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        for method, path, _ in operations(documents["suite"]):
            # Unknown parameters are no error in Mercure 1.0, nor in Durable Streams.
            if path.startswith(("/.well-known/", "/v1/stream/")):
                continue
            for asked in [method] if method != "get" else ["get", "head"]:
                answer = await client.request(asked, path, params={"topik": "orders"})
                assert answer.status_code in ((400,) if asked != "head" else (400, 405)), path
                if asked != "head":
                    assert "there is no parameter 'topik': there are " in answer.text, path


async def test_a_token_is_asked_for_where_the_document_says_so(
    documents: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVENTS_MERCURE_SUBSCRIPTIONS", "1")
    monkeypatch.setenv("DOWNLOADS_STORE", str(tmp_path))
    settings = Settings(auth_key="k" * 32, log_level="error")
    app = create_app(settings, list(SERVICES.values()))
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        for method, path, about in operations(documents["suite"]):
            answer = await client.request(method, path)
            asked = answer.status_code == 401
            assert asked == bool(about["security"]), (method, path, answer.text)
            assert asked == ("www-authenticate" in answer.headers)
            for scheme in {name for one in about["security"] for name in one}:
                assert scheme in documents["suite"]["components"]["securitySchemes"]


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Any]:
    with launch("eddyline_standalone", EVENTS_MERCURE_SUBSCRIPTIONS="1") as served:
        yield served


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "list_files": ("/files", {}),
    "read_small": ("/small", {}),
    "publish": ("/events", {"json": [{"topic": "openapi", "data": {"n": 1}}]}),
    "read_history": ("/events/history?limit=2", {}),
    "read_topics": ("/events/topics", {}),
    "read_subscribers": ("/events/subscribers", {}),
    "issue_ticket": ("/events/tickets", {}),
    "subscribe": ("/events?poll=1&after=earliest", {}),
    "describe_mercure_hub": (
        "/.well-known/oauth-protected-resource/.well-known/mercure",
        {},
    ),
    "mercure_subscriptions": ("/.well-known/mercure/subscriptions", {}),
    "list_logs": ("/logs", {}),
    "chat_sync": ("/chat/sync", {"json": {"message": "Hello"}}),
    "list_datasets": ("/records", {}),
    "livez": ("/livez", {}),
    "readyz": ("/readyz", {}),
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "download_file": ("/download/none", {}),
    "list_files": ("/files?limit=x", {}),
    "publish": ("/events", {"json": {"data": 1}}),
    "follow_log": ("/logs/none", {}),
    "chat_stream": ("/chat/stream", {"json": {}}),
    "read_records": ("/records/none", {}),
}
STREAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "subscribe": ("/events?after=earliest&envelope=1", {}),
    "follow_log": ("/logs/app.log?lines=1", {}),
    "chat_stream": ("/chat/stream", {"json": {"message": "Hello"}}),
    "stream_users": ("/users/stream", {}),
}


@pytest.mark.parametrize("id", ASKED)
def test_an_answer_is_as_its_schema_says(id: str, suite: Any) -> None:
    path, options = ASKED[id]
    with httpx.Client(base_url=suite.url, timeout=30) as client:
        document = client.get("/openapi.json").json()
        operation = find(document, id)
        answer = client.request(operation.method, path, **options)
        assert answer.status_code < 300
        assert is_valid(document, schema_of(operation, answer), answer.json()), answer.text


@pytest.mark.parametrize("id", REFUSED)
def test_a_refusal_is_a_problem_that_the_document_knows(id: str, suite: Any) -> None:
    path, options = REFUSED[id]
    with httpx.Client(base_url=suite.url, timeout=30) as client:
        document = client.get("/openapi.json").json()
        operation = find(document, id)
        answer = client.request(operation.method, path, **options)
        assert answer.status_code >= 400
        assert is_valid(document, schema_of(operation, answer), answer.json()), answer.text


@pytest.mark.parametrize("id", STREAMED)
def test_the_items_of_a_stream_are_as_their_schema_says(id: str, suite: Any) -> None:
    path, options = STREAMED[id]
    with httpx.Client(base_url=suite.url, timeout=30) as client:
        document = client.get("/openapi.json").json()
        operation = find(document, id)
        with client.stream(operation.method, path, **options) as answer:
            schema = schema_of(operation, answer)["contentSchema"]["items"]
            item = first_item(answer)
        assert is_valid(document, schema, item)
        if "data" in item:
            # A validator passes over `contentSchema`, for JSON in a text may be anything.
            fields = [one["properties"] for one in schema.get("anyOf", [schema])]
            data = [one["data"].get("contentSchema") for one in fields if may_be(one, item)]
            schemas = [one for one in data if one is not None]
            assert is_valid(document, {"anyOf": schemas}, json.loads(item["data"])), item


def may_be(fields: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether the type of an event is one of a schema's; without any that is `message`."""
    named = {"const", "enum"} & set(fields["event"])
    return (
        Draft202012Validator(fields["event"]).is_valid(item["event"])
        if named
        else (item["event"] == "message")
    )


def is_valid(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    return Draft202012Validator(schema | {"components": document["components"]}).is_valid(value)


def find(document: dict[str, Any], id: str) -> Operation:
    return next(operation for operation in operations(document) if operation.id == id)


def schema_of(operation: Operation, answer: httpx.Response) -> dict[str, Any]:
    response = operation.about["responses"][str(answer.status_code)]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema: dict[str, Any] = response["content"][media_type]["schema"]
    return schema


def first_item(answer: httpx.Response) -> dict[str, Any]:
    """A row of NDJSON; of an event stream the first event with data, whose data is JSON."""
    if answer.headers["content-type"].startswith("application/x-ndjson"):
        row: dict[str, Any] = json.loads(next(answer.iter_lines()))
        return row
    parser = Parser()
    for chunk in answer.iter_bytes():
        for event in parser.feed(chunk):
            if event.data:
                return {"event": event.event, "data": event.data, "id": event.id}
    raise AssertionError("the stream ended without an event")
