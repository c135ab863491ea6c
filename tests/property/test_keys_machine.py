"""Which block holds a key, against a plain dictionary: no wrong "no" whatever is refused, killed, stale or damaged."""

import os
import sqlite3
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.storage import sieve
from engine.storage.keys import SCHEMA, Keys

_NUMBERS = st.one_of(st.integers(0, 50), st.integers(0, 2**63 - 1))
_WORK = st.integers(0, 2_500)


def spread(first, count):
    """Keys of a burst: consecutive numbers under a few prefixes, as orders have them, and scattered ones."""
    return [
        key
        for number in range(first, first + count // 3)
        for key in (1 << 61 | number, 2 << 61 | 1 << 32 | number, number * 0x9E3779B1_85EBCA87 % 2**61)
    ]


class KeysOnDisk(RuleBasedStateMachine):
    """A connection is the disk: what was committed is there for the next :class:`Keys` on it."""

    @initialize()
    def begin(self):
        self.small = patch.object(sieve, "_PIECE", 512)  # so that 8 KiB are sixteen pieces
        self.small.start()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.executescript(SCHEMA)
        self.durable, self.held = {}, {}  # key -> its blocks
        self.number, self.kept = 0, []
        self.keys = Keys(self.db)

    def teardown(self):
        self.small.stop()
        self.db.close()

    @rule(some=st.lists(_NUMBERS, min_size=1, max_size=30))
    def put(self, some):
        self.number += 1
        self.keys.add(some, self.number)
        for key in some:
            self.held[key] = self.held.get(key, frozenset()) | {self.number}

    @rule(count=_WORK, wanted=st.sampled_from(["done", "done", "refused", "killed before", "killed after"]))
    def checkpoint(self, count, wanted="done"):
        self.put(spread(self.number * 10_000, count))
        self.db.execute("BEGIN IMMEDIATE")
        self.keys.seal()
        if wanted in {"refused", "killed before"}:
            self.db.execute("ROLLBACK")
        else:
            self.db.execute("COMMIT")
            self.durable = dict(self.held)
        if wanted == "done":
            self.keys.sealed()
        elif wanted.startswith("killed"):
            self.started()

    @rule()
    def started(self):
        """After a kill: what came since the last checkpoint comes again from the journal, or never."""
        self.held = dict(self.durable)
        self.keys = Keys(self.db)

    @rule(count=_WORK)
    def stopped(self, count):
        self.checkpoint(count)
        self.keys.keep()
        self.kept.append(self.db.execute("SELECT rowid, sizes, bits, blob FROM filter").fetchall())
        self.started()

    @rule(
        clean=st.booleans(),
        count=_WORK,
        place=st.integers(0, 2**20),
        how=st.sampled_from(["bits", "gone", "swapped", "cut", "no blob", "no"]),
    )
    def damaged(self, clean, count, place, how):
        """Part of the filter, found by the next start after a kill, or after a stop by who asks."""
        if clean:
            self.stopped(count)
        else:
            self.checkpoint(count)
        rows = self.db.execute("SELECT rowid, blob FROM filter ORDER BY rowid").fetchall()
        row, blob = rows[place % len(rows)]
        blob = blob or bytes(8)  # it was damaged before, and nobody has asked since
        there = place % len(blob)
        new = {
            "bits": blob[:there] + bytes([blob[there] ^ 0xFF]) + blob[there + 1 :],
            "swapped": rows[(place + 1) % len(rows)][1],
            "cut": blob[:there],
            "no blob": None,
            "no": b"\xff" * len(blob),  # would say "no" to everything
        }
        if how == "gone":
            self.db.execute("DELETE FROM filter WHERE rowid = ?", (row,))
        else:
            self.db.execute("UPDATE filter SET blob = ? WHERE rowid = ?", (new[how], row))
        if not clean:
            self.started()
        self.asked(place)

    @rule(clean=st.booleans(), count=_WORK, turn=st.integers(0, 2**20), forged=st.sampled_from(["", "rows", "names"]))
    def stale(self, clean, count, turn, forged):
        """Some or all of the filter of former runs is back, maybe under the name of these."""
        self.stopped(count)
        if not clean:
            self.checkpoint(1 + count)
        if forged == "":
            self.db.execute("DELETE FROM filter")
        (now,) = self.db.execute("SELECT sizes FROM filter").fetchone() or ("",)
        for rowid, sizes, bits, blob in self.kept[turn % len(self.kept)]:
            if forged and rowid == 1 + turn % 2:
                continue
            self.db.execute("DELETE FROM filter WHERE rowid = ?", (rowid,))
            row = (rowid, now if forged == "names" else sizes, bits, blob)
            self.db.execute("INSERT INTO filter (rowid, sizes, bits, blob) VALUES (?, ?, ?, ?)", row)
        if not clean:
            self.started()
        self.asked(turn)

    @rule(turn=st.integers(0, 2**20))
    def asked(self, turn):
        every = 1 + len(self.held) // 50
        for key in list(self.held)[turn % every :: every]:  # one in so many, from a turn on
            assert set(self.keys.find(key)) == self.held[key]

    @rule(strangers=st.lists(_NUMBERS, max_size=30))
    def asked_about_strangers(self, strangers):
        for key in strangers:
            assert set(self.keys.find(key)) == self.held.get(key, set())

    @invariant()
    def nothing_is_denied(self):
        for key in getattr(self, "held", ()):
            assert self.keys.may_have_any((key,))


examples = os.environ.get("FILLBOOK_HYPOTHESIS_EXAMPLES")
TestKeysOnDisk = KeysOnDisk.TestCase
TestKeysOnDisk.settings = settings(max_examples=int(examples) if examples else 40, stateful_step_count=25)
