"""The client of a suite: `Client`, `AsyncClient`, and the values that they give and take."""

from eddyline.client.blocking.client import Client
from eddyline.client.blocking.streams import AnswerItems, FollowedItems, Items, RowItems
from eddyline.client.chat import Answer
from eddyline.client.client import AsyncClient
from eddyline.client.errors import DigestMismatch, Failed, Incomplete, Refused, StateFileError
from eddyline.client.event_source import EventSource
from eddyline.client.events.messages import (
    History,
    Message,
    Publication,
    Published,
    Rejected,
    Reset,
    Subscriber,
    Ticket,
    Topic,
)
from eddyline.client.files.download import Downloaded, Progress
from eddyline.client.followed import Followed
from eddyline.client.logs import LogLine, LogNote
from eddyline.client.records import Rows, RowsEnd, RowsProgress

__all__ = [
    "Answer",
    "AnswerItems",
    "AsyncClient",
    "Client",
    "DigestMismatch",
    "Downloaded",
    "EventSource",
    "Failed",
    "Followed",
    "FollowedItems",
    "History",
    "Incomplete",
    "Items",
    "LogLine",
    "LogNote",
    "Message",
    "Progress",
    "Publication",
    "Published",
    "Refused",
    "Rejected",
    "Reset",
    "RowItems",
    "Rows",
    "RowsEnd",
    "RowsProgress",
    "StateFileError",
    "Subscriber",
    "Ticket",
    "Topic",
]
