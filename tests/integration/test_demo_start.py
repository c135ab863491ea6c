"""What the demonstration says where it cannot start."""

import os

import pytest

from engine.demo import DemoEngine
from engine.errors import StoreLocked, StoreUnavailable
from engine.settings import Settings
from engine.storage.lock import WriterLock


async def test_a_second_server_on_the_same_data_is_told_whose_process_has_it(tmp_path):
    settings = Settings(data_dir=str(tmp_path / "data"), lmdb_map_gb=0.5)
    lock = WriterLock(settings.data_dir, settings.arctic_location)
    try:
        with pytest.raises(StoreLocked, match=rf"pid {os.getpid()} .*stop it first"):
            await DemoEngine(settings).start()
    finally:
        lock.release()
    assert not (tmp_path / "data" / "gateway.json").exists()


async def test_a_data_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnavailable, match="data"):
        await DemoEngine(Settings(data_dir=str(tmp_path / "data"), lmdb_map_gb=0.5)).start()


async def test_a_gateways_file_that_is_none_is_not_said_to_be_in_use(tmp_path):
    (tmp_path / "gateway.json").write_text("garbage " * 200)
    with pytest.raises(StoreLocked, match=r"gateway\.json cannot be used: file is not a database"):
        await DemoEngine(Settings(data_dir=str(tmp_path), lmdb_map_gb=0.5)).start()
