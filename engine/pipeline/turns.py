"""How long one thread keeps the interpreter from the others.

The threads of the engine and of the strategies run in one interpreter, a turn each. A turn lasts five milliseconds by
default, and who waits draws lots with everybody else who does: in a burst from five strategies the server's loop waited for
eight turns or more. With a turn of one millisecond it waits about half as long (measured: p99 of its lag in a burst 33 ms
against 62, at the same CPU time). Shorter turns brought little more, and where ten other programs wanted the same two cores
they cost CPU time: a tenth at one millisecond, a quarter at half of one.

It is a setting of the whole process, so the last book room that closes puts it back.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

TURN_S: Final = 0.001

_lock: Final = threading.Lock()
_former: Final[list[float]] = []


def shorten() -> None:
    """Have threads take shorter turns until :func:`put_back` was called as often; a shorter setting is left alone."""
    with _lock:
        former = sys.getswitchinterval()
        _former.append(former)
        sys.setswitchinterval(min(former, TURN_S))


def put_back() -> None:
    """Undo one :func:`shorten`; the last of them restores what was before the first."""
    with _lock:
        first = _former[0]
        _former.pop()
        if not _former:
            sys.setswitchinterval(first)
