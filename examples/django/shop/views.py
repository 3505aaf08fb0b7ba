from functools import partial

from celery import chain
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from eddyline.client import Failed
from shop.models import Order
from shop.tasks import announce, pack


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "orders.html", {"hub": settings.HUB_URL})


@require_http_methods(["GET", "POST"])
def orders(request: HttpRequest) -> JsonResponse:
    """All orders; POST adds one."""
    if request.method == "POST":
        with transaction.atomic():
            order = Order.objects.create(product=request.POST["product"])
            # Subscribers hear of an order that is there: never before the commit.
            transaction.on_commit(partial(announce_new, order))
        return JsonResponse(order.as_event(), status=201)
    return JsonResponse({"orders": [o.as_event() for o in Order.objects.order_by("created")]})


def announce_new(order: Order) -> None:
    try:
        announce(order.id)
    except Failed:
        # The hub is away: the worker announces the order once the hub is back, and packs it then.
        chain(announce.si(order.id), pack.si(order.id)).delay()
    else:
        pack.delay(order.id)
