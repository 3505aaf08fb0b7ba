"""The hub's client, for any process of Django or Celery: threads share it, and forks."""

from django.conf import settings

from eddyline.client import Client

#: A view waits for this long where the hub is away; Celery's task asks again by itself.
hub = Client(settings.HUB_URL, timeout=5, patience=1)
