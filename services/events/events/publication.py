"""What a publisher sends, checked."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from streaming.cursor import EARLIEST, SAFE_ID
from streaming.errors import BadRequest
from streaming.journal import NewEntry

#: Characters.
MAX_TOPIC = 1024


def _no_line_end(text: str) -> str:
    if any(character in text for character in "\r\n\0"):
        raise ValueError("must not hold a line end or NUL")
    return text


def _safe_id(text: str) -> str:
    if SAFE_ID.match(text) is None or text == EARLIEST:
        raise ValueError("must be 1-128 of A-Z a-z 0-9 . _ ~ - and not 'earliest'")
    return text


def check_topic(topic: str) -> str:
    """A topic as it is; BadRequest names one that is none."""
    if not 0 < len(topic) <= MAX_TOPIC or any(character in topic for character in "\r\n\0"):
        raise BadRequest(
            f"topic {topic[:80]!r}: must have 1-{MAX_TOPIC} characters, no line end and no NUL"
        )
    return topic


Topic = Annotated[str, AfterValidator(check_topic)]


class Publication(BaseModel):
    """`data`: a string is sent as it is, anything else as JSON. `retry` is in milliseconds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    topic: Topic
    data: Any = ""
    event: Annotated[str, Field(max_length=256), AfterValidator(_no_line_end)] | None = None
    id: Annotated[str, AfterValidator(_safe_id)] | None = None
    retry: Annotated[int, Field(ge=0, le=86_400_000)] | None = None
    private: bool = False

    @classmethod
    def parse(cls, body: bytes) -> "Publication":
        """Raises BadRequest that names the field and its value."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
                f" (got {str(fault['input'])[:80]!r})"
                for fault in error.errors()
            ]
            raise BadRequest("; ".join(faults)) from None

    def entry(self) -> NewEntry:
        data = self.data if isinstance(self.data, str) else orjson.dumps(self.data).decode()
        return NewEntry(
            self.topic,
            data,
            self.event,
            self.id,
            self.retry,
            self.private,
            json=not isinstance(self.data, str),
        )
