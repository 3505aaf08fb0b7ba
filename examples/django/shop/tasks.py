"""Celery's tasks. One that can't reach the hub runs again until it can."""

import time
from uuid import UUID

from celery import shared_task

from eddyline.client import Failed
from shop.hub import hub
from shop.models import Order

#: Events that come again with their keys are in the journal once, so a task may begin anew.
until_published = {
    "autoretry_for": (Failed,),
    "retry_backoff": True,
    "retry_backoff_max": 30,
    "max_retries": None,
}


@shared_task(**until_published)
def announce(id: UUID) -> None:
    """Publishes the order as it is now."""
    order = Order.objects.get(pk=id)
    hub.publish("orders", order.as_event(), key=f"{order.id}-{order.state}")


@shared_task(**until_published)
def pack(id: UUID) -> None:
    order = Order.objects.get(pk=id)
    for percent in range(20, 101, 20):
        progress = {**order.as_event(), "state": f"packing, {percent} %"}
        hub.publish("orders", progress, key=f"{order.id}-packing-{percent}")
        time.sleep(0.2)  # the work
    Order.objects.filter(pk=id).update(state="packed")
    announce(id)
