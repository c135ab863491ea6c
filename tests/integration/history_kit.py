"""Rooms whose past is put away, for the tests of it."""

from engine.clock import SystemClock
from engine.pipeline.room import BookRoom
from engine.settings import Settings
from engine.state.putaway import Keep
from tests.benchmarks.apart import feed

DEADLINE_S = 60.0
EVERYTHING = Keep(executions=0, lines=0, smallest=1, orders=0)


def checkpointed(history):
    history.turn()
    history.flush()
    return history.epoch - 1


def room_at(folder):
    return BookRoom(Settings(data_dir=str(folder)), SystemClock())


def fed(folder, first, count):
    room = room_at(folder)
    feed(room, first, count)
    return room
