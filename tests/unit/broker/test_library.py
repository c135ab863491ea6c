"""The client library is imported once, from any thread, and never into a patched asyncio."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.broker.library import forget_done, hang_up, load_library, refuse_patched_asyncio
from engine.errors import BrokerUnavailable

ROOT = Path(__file__).resolve().parents[3]


def client_with(orders):
    """A client that remembers orders, given as (number, done, fee known)."""
    wrapper = SimpleNamespace(trades={}, permId2Trade={}, fills={})
    for number, done, fee_known in orders:
        exec_id = f"e{number}"
        fill = SimpleNamespace(
            execution=SimpleNamespace(execId=exec_id),
            commissionReport=SimpleNamespace(execId=exec_id if fee_known else ""),
        )
        trade = SimpleNamespace(order=SimpleNamespace(permId=number), fills=[fill], isDone=lambda done=done: done)
        wrapper.trades[7, number] = wrapper.permId2Trade[number] = trade
        wrapper.fills[exec_id] = fill
    return SimpleNamespace(wrapper=wrapper)


def test_a_strategys_client_forgets_the_oldest_orders_that_are_done_and_keeps_what_is_open_or_waits_for_its_fee():
    ib = client_with(
        [(1, False, True), (2, True, True), (3, True, False), (4, True, True), (5, True, True), (6, True, True)]
    )
    forget_done(ib, keep=2)
    assert [number for _, number in ib.wrapper.trades] == [1, 3, 5, 6]
    assert list(ib.wrapper.permId2Trade) == [1, 3, 5, 6]
    assert list(ib.wrapper.fills) == ["e1", "e3", "e5", "e6"]
    forget_done(ib, keep=10)
    assert len(ib.wrapper.trades) == 4


def test_orders_whose_fees_never_come_are_forgotten_in_the_end():
    ib = client_with([(number, True, False) for number in range(30)])
    forget_done(ib, keep=2)
    assert [number for _, number in ib.wrapper.trades] == list(range(10, 30))


def test_an_unknown_library_is_refused():
    with pytest.raises(BrokerUnavailable, match="no client library"):
        load_library("ibapi")


def test_a_library_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ib_async", None)
    with pytest.raises(BrokerUnavailable, match="not installed"):
        load_library("ib_async")


def test_a_patched_asyncio_is_refused(monkeypatch):
    refuse_patched_asyncio()
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    with pytest.raises(AssertionError, match="nest_asyncio"):
        refuse_patched_asyncio()


def test_the_first_import_may_happen_in_a_thread_without_an_event_loop():
    code = """
import threading, warnings
warnings.simplefilter("error")
from engine.broker.library import load_library
found = []
worker = threading.Thread(target=lambda: found.append(load_library().IB))
worker.start(); worker.join()
assert found and load_library().IB is found[0]
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_translating_needs_no_client_library():
    code = """
import sys
import engine.broker.translate
assert not {"ib_insync", "ib_async", "eventkit", "asyncio"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_threads_that_load_at_the_same_time_get_the_same_module():
    found = []
    workers = [threading.Thread(target=lambda: found.append(load_library())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    assert len({id(module) for module in found}) == 1


def test_a_connection_that_was_reset_in_the_same_moment_is_hung_up_without_an_error():
    """A peer's reset makes the system refuse the half-close; the engine and the strategies must outlive it."""
    dropped = []

    class Reset:
        conn = SimpleNamespace(transport=SimpleNamespace(abort=lambda: dropped.append("aborted")))

        def disconnect(self):
            raise OSError(107, "Transport endpoint is not connected")

    hang_up(Reset())
    hang_up(SimpleNamespace(client=Reset(), disconnect=Reset().disconnect))
    assert dropped == ["aborted", "aborted"]


def test_a_sound_connection_is_hung_up_once():
    ended = []
    hang_up(SimpleNamespace(disconnect=lambda: ended.append("ended")))
    assert ended == ["ended"]
