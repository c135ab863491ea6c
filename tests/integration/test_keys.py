"""The filter in front of the keys: what a start reads of it, files of former versions, how often it errs."""

import random
import sqlite3

import numpy as np
import pytest

from engine.storage.history import History
from engine.storage.keys import SCHEMA, Keys
from engine.storage.sieve import Sieve
from tests.integration.history_kit import checkpointed

_PIECE_ROWS = 4  # of 100,000 keys


@pytest.fixture
def db(tmp_path):
    opened = sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)
    opened.executescript(SCHEMA)
    yield opened
    opened.close()


def filled(db, keys):
    made = Keys(db)
    made.add(keys, 1)
    made.seal()
    made.sealed()
    made.keep()
    return made


def reads(db):
    """Rows of the filter and of the runs that are read from now on."""
    said = []
    db.set_trace_callback(said.append)
    return said


def test_a_start_reads_no_piece_of_the_filter_and_each_one_once_when_it_is_asked_about(db):
    chance = random.Random(5)
    held = [chance.randrange(2**63) for _ in range(100_000)]
    before = filled(db, held[:90_000])
    before.add(held[90_000:], 2)
    before.seal()
    before.sealed()
    before.keep()
    said = reads(db)
    keys = Keys(db)
    assert not [text for text in said if "blob" in text or "keys FROM chunks" in text]
    strangers = [chance.randrange(2**63) for _ in range(2_000)]
    assert all(keys.may_have_any([key]) for key in strangers), "what was not read yet may be anything"
    said.clear()
    assert not any(keys.find(key) for key in strangers)
    assert len([text for text in said if "blob FROM filter" in text]) == _PIECE_ROWS
    assert sum(keys.may_have_any([key]) for key in strangers) < 40
    said.clear()
    assert not any(keys.find(key) for key in strangers)
    assert not [text for text in said if "FROM filter" in text]
    assert all(keys.may_have_any([key]) for key in held)
    keys.keep()
    assert not [text for text in said if "INSERT" in text], "nothing has changed"


def test_a_start_after_a_kill_adds_what_came_since_the_filter_was_stored_and_reads_no_run(db):
    chance = random.Random(6)
    held = [chance.randrange(2**63) for _ in range(50_000)]
    before = filled(db, held)
    for number in range(2, 20):
        more = [chance.randrange(2**63) for _ in range(1_000)]
        before.add(more, number)
        before.seal()
        before.sealed()
        held += more
        said = reads(db)
        keys = Keys(db)
        assert not [text for text in said if "keys FROM chunks" in text]
        assert all(map(keys.may_have_any, ([key] for key in held)))
        assert sum(keys.may_have_any([chance.randrange(2**63)]) for _ in range(1_000)) < 20
        (noted,) = db.execute(
            "SELECT sum(length(blob)) / 8 FROM filter WHERE rowid > ?", (_PIECE_ROWS // 2,)
        ).fetchone()
        assert noted < len(held) / 7, "all of it is stored again when many came"
        before = keys if number % 2 else before  # who was killed goes on from there


def test_runs_are_added_up_without_reading_the_keys(db):
    filled(db, range(10_000))
    plan = db.execute("EXPLAIN QUERY PLAN SELECT sum(size) FROM chunks GROUP BY place ORDER BY place").fetchall()
    assert [row[3] for row in plan] == ["SCAN chunks USING COVERING INDEX runs"]


@pytest.mark.parametrize("blob", [b"\x00", b"\xff"], ids=["nothing in it", "everything in it"])
def test_a_file_of_a_former_version_opens_and_its_filter_is_made_anew(tmp_path, blob):
    path = tmp_path / "h.sqlite"
    history = History(path)
    numbers = {key: history.put("lines", b"block %d" % key, [key]) for key in range(1, 300)}
    epoch = checkpointed(history)
    history.close()
    with sqlite3.connect(path) as old:
        old.execute("DROP INDEX runs")
        old.execute("CREATE INDEX firsts ON chunks (place, first)")
        old.execute("DELETE FROM filter")
        old.execute("INSERT INTO filter VALUES ('[299] 4', 16, ?)", (blob * 8192,))
    old.close()
    for _ in range(2):
        again = History(path)
        assert again.go_back(epoch) == len(numbers)
        assert all(again.may_have_any([key]) for key in numbers)
        assert {key: again.find(key)[0] for key in numbers} == numbers
        again.close()
    with sqlite3.connect(path) as now:
        assert {name for (name,) in now.execute("SELECT name FROM pragma_index_list('chunks')")} == {"runs"}
    now.close()


@pytest.mark.parametrize(
    "count", [5_461, 5_462, 87_000], ids=["as full as can be", "just made larger", "several pieces"]
)
def test_a_filter_errs_rarely_however_full_it_is(count):
    sieve, chance = Sieve(count), random.Random(count)
    held = [number << 1 | 1 << 61 for number in range(count)]
    assert sieve.has_room(count)
    assert not sieve.any_of(held)
    sieve.add([np.array(held, dtype=np.int64)])
    assert all(sieve.any_of((key,)) for key in held)
    assert sum(sieve.any_of((chance.randrange(2**63),)) for _ in range(10_000)) < 200
    assert sum(sieve.any_of((key | 1,)) for key in held[:5_000]) < 100
