"""How long a thread that computes keeps the interpreter from the others.

The threads of the engine and of the strategies run in one interpreter, a turn each. A turn lasts five milliseconds by
default, and who waits draws lots with everybody else who does: in a burst from five strategies the server's loop waited for
eight turns or more, and at an even 2,000 fills a second for one or two.

Short turns cost: each change of threads empties caches, a fifth of a burst's speed at 0.2 ms. So turns are longest while the
books are behind, when speed is what is wanted, and short enough then that the loop answers within 50 ms; at an even rate
there is time, and turns are as short as helps. Measured on a quiet machine (loop's lag at p99 and at most; CPU time a fill):

    an even 2,000/s   1 ms turns 2.9 ms               0.5 ms 2.3 ms               0.1 ms 1.5 ms, a twentieth more CPU time
    burst of 40,000   1 ms turns 20 and 45 ms, 117 us    0.5 ms 14 and 31 ms, 130 us    0.2 ms 9 and 23 ms, 155 us

It is a setting of the whole process, so the last book room that closes puts it back.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

EVEN_S: Final = 0.0001
BEHIND_S: Final = 0.0005

_lock: Final = threading.Lock()
_former: Final[list[float]] = []


def shorten() -> None:
    """Have threads take shorter turns until :func:`put_back` was called as often; a shorter setting is left alone."""
    with _lock:
        _former.append(sys.getswitchinterval())
        sys.setswitchinterval(min(_former[0], EVEN_S))


def suit(*, behind: bool) -> None:
    """Have turns of the length that suits books that are behind, or are not; nothing before :func:`shorten`."""
    with _lock:
        if _former:
            sys.setswitchinterval(min(_former[0], BEHIND_S if behind else EVEN_S))


def put_back() -> None:
    """Undo one :func:`shorten`; the last of them restores what was before the first."""
    with _lock:
        first = _former[0]
        _former.pop()
        if not _former:
            sys.setswitchinterval(first)
