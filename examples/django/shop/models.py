import uuid

from django.db import models


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    product = models.CharField(max_length=100)
    state = models.CharField(max_length=20, default="new")
    created = models.DateTimeField(auto_now_add=True)

    def as_event(self) -> dict[str, str]:
        return {"id": str(self.id), "product": self.product, "state": self.state}
