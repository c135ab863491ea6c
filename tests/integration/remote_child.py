"""A strategy's process on another host, as far as the engine can tell: ``python -m tests.integration.remote_child URL``.

It reads lines ``FIRST LAST``, reports these fills, and answers ``confirmed`` when JetStream has them all.
"""

import sys

from engine.remote_queue import RemoteQueue
from tests.integration.remote_kit import event

if __name__ == "__main__":
    with RemoteQueue(sys.argv[1]) as queue:
        for line in sys.stdin:
            first, last = map(int, line.split())
            for number in range(first, last):
                queue.put(event(number))
            queue.join()
            print("confirmed", flush=True)
