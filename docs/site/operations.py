"""The page of a service's HTTP, from its OpenAPI document."""

import re
from collections.abc import Iterator
from typing import Any

from eddyline.service.registry import Registration
from eddyline.service.settings import Settings


def operations(name: str, registration: Registration[Settings]) -> str:
    """The requests of a service; `/openapi.json` of a running one has their schemas, too."""
    document = registration.create_app(registration.settings(auth_key="0" * 32)).openapi()
    sections = (
        _operation(method.upper(), path, about)
        for path, item in document["paths"].items()
        for method, about in item.items()
    )
    return f"# {name.capitalize()}\n\n" + "\n".join(sections)


def _operation(method: str, path: str, about: dict[str, Any]) -> str:
    described = about.get("description") or about.get("summary", "")
    lines = [f"## `{method} {path}`", "", described.strip(), ""]
    if parameters := about.get("parameters"):
        lines += ["| parameter | in | type | meaning |", "|---|---|---|---|"]
        lines += [_parameter(each) for each in parameters]
        lines.append("")
    if body := about.get("requestBody"):
        lines += [f"The body is {_types(body['content'])}.", ""]
    lines += ["| status | answer |", "|---|---|"]
    lines += [f"| {status} | {_answer(each)} |" for status, each in about["responses"].items()]
    return "\n".join(lines) + "\n"


def _parameter(about: dict[str, Any]) -> str:
    name = f"`{about['name']}`" + (" (required)" if about.get("required") else "")
    schema = about.get("schema", {})
    return f"| {name} | {about['in']} | {_type(schema)} | {_cell(about.get('description', ''))} |"


def _type(schema: dict[str, Any]) -> str:
    if choices := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(t for each in choices if (t := _type(each)) != "null"))
    kind = str(schema.get("type", "")) or str(schema.get("$ref", "")).rpartition("/")[2]
    return kind + "".join(_bounds(schema))


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    if "default" in schema and schema["default"] is not None:
        yield f", default `{schema['default']}`"
    if "minimum" in schema:
        yield f", from {schema['minimum']}"
    if "maximum" in schema:
        yield f", to {schema['maximum']}"


def _answer(about: dict[str, Any]) -> str:
    types = _types(about.get("content", {}))
    return _cell(about["description"]) + (f" ({types})" if types else "")


def _types(content: dict[str, Any]) -> str:
    return ", ".join(f"`{media}`" for media in content)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
