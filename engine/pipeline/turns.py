"""How long one thread keeps the interpreter from the others.

The threads of the engine and of the strategies run in one interpreter, a turn each. A turn lasts five milliseconds by
default, and who waits draws lots with everybody else who does: in a burst from five strategies the server's loop waited for
eight turns or more, and at an even 2,000 fills a second for one or two. Measured with turns of five milliseconds and of one
(p99 of the loop's lag, medians of two and three rounds): with few other programs 62 and 33 ms in a burst, at the same CPU
time; where ten others wanted the two cores 64 and 21 ms at the even rate, in a burst 82 ms either way, and a fifth more CPU
time. Half a millisecond brought little more and cost more.

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
