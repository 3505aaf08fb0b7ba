"""The exit codes of the command line, and the errors that they stand for."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from eddyline.client import DigestMismatch, Failed, Incomplete, Refused
from eddyline.errors import SettingsError, StreamingError

FAILED = 1
USAGE = 2
SETTINGS = 3
REFUSED = 4
SERVER = 5
DIGEST = 6
GAP = 7
INTERRUPTED = 130


class Gap(StreamingError):
    """With --strict: events or lines are missing."""


#: The first that fits counts.
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (SettingsError, SETTINGS),
    (Refused, REFUSED),
    (DigestMismatch, DIGEST),
    (Failed, SERVER),
    (Incomplete, SERVER),
    (Gap, GAP),
    (StreamingError, FAILED),
    (OSError, FAILED),
)


def code_of(error: BaseException) -> int:
    """The exit code that an error stands for; an error that is none of ours is raised again."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    raise error


def guarded(work: Callable[[], object]) -> NoReturn:
    """Runs a command, and exits with the code of its end."""
    try:
        work()
        sys.stdout.flush()
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would complain at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (StreamingError, OSError) as error:
        code = code_of(error)
        print(f"eddyline: {error}{_hint(error)}", file=sys.stderr)
        raise SystemExit(code) from None
    raise SystemExit(0)


def _hint(error: BaseException) -> str:
    if isinstance(error, Refused) and error.status == 401:
        return "\neddyline: put a token into EDDYLINE_TOKEN; `eddyline token` makes one"
    if isinstance(error, Failed) and error.status == 0:
        return "\neddyline: is EDDYLINE_URL, or --url, the suite's address?"
    return ""
