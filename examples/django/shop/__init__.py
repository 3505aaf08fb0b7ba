"""A shop: Django takes orders, Celery packs them, and a page shows both as they happen."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
