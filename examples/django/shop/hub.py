"""Publishes events, from any process of Django or Celery."""

from typing import Any

import httpx
from django.conf import settings


def publish(topic: str, data: dict[str, Any], key: str) -> None:
    """Publishes one event; once it returns, the event is in the hub's journal.

    `key` names the event: published again under it, the event is in the journal once.
    Raises httpx.HTTPError where the hub is away, and it can't be said whether the event is in.
    """
    response = httpx.post(
        f"{settings.HUB_URL}/events",
        json={"topic": topic, "data": data},
        headers={"Idempotency-Key": key},
        timeout=5,
    )
    response.raise_for_status()
