"""Pieces of OpenAPI for routes whose parameters nobody parses but they themselves."""

from typing import Any

FLAG = {"type": "integer", "enum": [0, 1], "default": 0}


def parameter(
    name: str,
    schema: dict[str, Any],
    text: str,
    where: str = "query",
    *,
    required: bool = False,
) -> dict[str, Any]:
    about = {"name": name, "in": where, "schema": schema, "description": text}
    return about | ({"required": True} if required else {})
