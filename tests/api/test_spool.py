"""The rooms that uploads pass through."""

import asyncio
import errno

import pytest

from api import spool
from api.spool import Spool


@pytest.fixture
def make_spool(tmp_path):
    """Open a spool, as one gateway of several on a disk."""
    opened = []

    def make_spool():
        opened.append(Spool(tmp_path / "spool"))
        return opened[-1]

    yield make_spool
    for each in opened:
        each.close()


def dies(each):
    """Let go of the room as the system does for a process that is killed."""
    each._leave()


def test_a_room_is_swept_when_its_gateway_is_dead_and_no_sooner(make_spool):
    first, second = make_spool(), make_spool()
    room, own = first.room(), second.room()
    (room / "half").write_bytes(b"x")
    assert second.sweep() == []
    assert first.room() == room != own

    dies(first)

    assert second.sweep() == [room]
    assert (room.exists(), own.exists()) == (False, True)


def test_a_gateway_without_a_room_can_sweep_and_one_without_a_spool_too(make_spool):
    assert make_spool().sweep() == []
    dead = make_spool()
    room = dead.room()
    dies(dead)
    assert make_spool().sweep() == [room]


def test_a_room_that_is_removed_from_outside_is_made_again(make_spool):
    mine = make_spool()
    room = mine.room()
    room.rmdir()
    assert mine.room() != room
    assert mine.room().is_dir()
    assert make_spool().sweep() == []


def test_a_room_found_by_a_sweeper_before_it_was_locked_is_given_up_for_another(make_spool, monkeypatch):
    mine, sweeper, made = make_spool(), make_spool(), []
    mkdtemp = spool.tempfile.mkdtemp

    def swept_at_once(**where):
        made.append(mkdtemp(**where))
        if len(made) == 1:
            sweeper.sweep()
        return made[-1]

    monkeypatch.setattr("api.spool.tempfile.mkdtemp", swept_at_once)
    assert str(mine.room()) == made[1]
    assert mine.room().is_dir()


def test_nothing_is_swept_where_the_disk_knows_no_locks(make_spool, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("api.spool.fcntl.flock", flock)
    mine = make_spool()
    room = mine.room()
    assert room.is_dir()
    assert make_spool().sweep() == []


def test_a_gateway_sweeps_now_and_then_also_after_a_failure(make_spool, monkeypatch, caplog):
    monkeypatch.setattr(spool, "SWEEP_SECONDS", 0.01)
    mine, sweeps = make_spool(), []

    def sweep():
        sweeps.append(len(sweeps))
        if len(sweeps) == 1:
            raise PermissionError("not now")
        return []

    async def until_swept():
        mine.sweep = sweep
        sweeping = asyncio.create_task(mine.keep_swept())
        while len(sweeps) < 3:
            await asyncio.sleep(0.001)
        sweeping.cancel()

    asyncio.run(asyncio.wait_for(until_swept(), 30))
    assert "cannot be swept" in caplog.text
