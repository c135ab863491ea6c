"""Which call into the store a thread waits for at this moment, and since when.

A store that refuses raises an error; one that hangs (a server that takes requests and never answers, a lock that another
process holds, a disk that stands still) raises nothing, and who waits for it cannot say so. So each call is noted before
it is made, and somebody else looks how long it has been going on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

log = logging.getLogger(__name__)

PATIENCE_S: Final = 1.0
"""Seconds after which a call that has not come back is trouble: a hundred times as long as an append takes."""


class Call(NamedTuple):
    """A call that has not come back.

    Attributes:
        act: What is being done, in words.
        since: ``time.monotonic()`` of its beginning.
    """

    act: str
    since: float

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self.since


_open: Final[dict[int, Call]] = {}


@contextmanager
def noted(act: str) -> Iterator[None]:
    """Note that this thread waits for the store; a call inside another one is part of that."""
    me = threading.get_ident()
    if me in _open:
        yield
        return
    call = _open[me] = Call(act, time.monotonic())
    try:
        yield
    finally:
        del _open[me]
        if call.seconds > PATIENCE_S:
            log.warning("%s took %.1f s", act, call.seconds)


def overdue(thread: int | None) -> Call | None:
    """The call that a thread has been waiting for longer than is right, ``None`` when it is not."""
    call = _open.get(thread) if thread is not None else None
    return call if call is not None and call.seconds > PATIENCE_S else None
