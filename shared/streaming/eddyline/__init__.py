"""Streams that never lose their place: the names that an app needs, each loaded at its first use.

`import eddyline` loads nothing: a health check starts often, and a client needs no server.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eddyline.client.event_source import EventSource as EventSource
    from eddyline.errors import StreamingError as StreamingError
    from eddyline.errors import Unavailable as Unavailable
    from eddyline.hub import Hub as Hub
    from eddyline.journal.base import Bounds as Bounds
    from eddyline.journal.base import Entry as Entry
    from eddyline.journal.base import Journal as Journal
    from eddyline.journal.base import NewEntry as NewEntry
    from eddyline.journal.cursor import Cursor as Cursor
    from eddyline.policy import ProducePolicy as ProducePolicy
    from eddyline.policy import StreamPolicy as StreamPolicy
    from eddyline.produce.yielded import NamedEvent as NamedEvent
    from eddyline.responses.file import FileResponse as FileResponse
    from eddyline.responses.ndjson import NdjsonResponse as NdjsonResponse
    from eddyline.responses.pull import PullResponse as PullResponse

__all__ = [
    "Bounds",
    "Cursor",
    "Entry",
    "EventSource",
    "FileResponse",
    "Hub",
    "Journal",
    "NamedEvent",
    "NdjsonResponse",
    "NewEntry",
    "ProducePolicy",
    "PullResponse",
    "StreamPolicy",
    "StreamingError",
    "Unavailable",
]

_MODULES = {
    "Bounds": "eddyline.journal.base",
    "Cursor": "eddyline.journal.cursor",
    "Entry": "eddyline.journal.base",
    "EventSource": "eddyline.client.event_source",
    "FileResponse": "eddyline.responses.file",
    "Hub": "eddyline.hub",
    "Journal": "eddyline.journal.base",
    "NamedEvent": "eddyline.produce.yielded",
    "NdjsonResponse": "eddyline.responses.ndjson",
    "NewEntry": "eddyline.journal.base",
    "ProducePolicy": "eddyline.policy",
    "PullResponse": "eddyline.responses.pull",
    "StreamPolicy": "eddyline.policy",
    "StreamingError": "eddyline.errors",
    "Unavailable": "eddyline.errors",
}
#: Names that need more than the base.
_EXTRAS = {"EventSource": "client"}

if not TYPE_CHECKING:  # else every misspelt name would have a type

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module 'eddyline' has no attribute {name!r}")
        try:
            value = getattr(import_module(_MODULES[name]), name)
        except ModuleNotFoundError as error:
            if name not in _EXTRAS:
                raise
            how = f"pip install 'eddyline[{_EXTRAS[name]}]'"
            text = f"eddyline.{name} needs the module {error.name!r}: {how}"
            raise ModuleNotFoundError(text, name=error.name) from error
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
