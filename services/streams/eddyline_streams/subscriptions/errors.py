"""Refusals of the subscription API: a code for programs beside the text."""

from typing import Any

from eddyline.errors import StreamingError


class SubscriptionError(StreamingError):
    """`code` is the protocol's; `facts` stand beside it in the answer."""

    def __init__(self, status: int, code: str, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.facts = facts


def invalid(detail: str) -> SubscriptionError:
    return SubscriptionError(400, "INVALID_REQUEST", detail)


def not_found(id: str) -> SubscriptionError:
    return SubscriptionError(404, "SUBSCRIPTION_NOT_FOUND", f"there is no subscription {id[:80]!r}")


def fenced() -> SubscriptionError:
    return SubscriptionError(409, "FENCED", "the wake is over: another one, or none, is in force")
