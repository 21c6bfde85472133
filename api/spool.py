"""Where uploads wait while they are checked: a room for each gateway, swept once its gateway is dead."""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

log = logging.getLogger(__name__)

#: How often a gateway looks for what others have left.
SWEEP_SECONDS = 600.0


class Spool:
    """A room of this gateway's own, held by a lock that the system lets go of when the process dies.

    Where the disk knows no such locks nothing is locked, and nothing is ever swept.

    Args:
        root: The folder of all rooms; gateways on one disk share it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._room: Path | None = None
        self._held, self._taking = -1, Lock()

    def room(self) -> Path:
        """Name the folder for this gateway's files, and make it where there is none."""
        with self._taking:
            if self._room is None or not self._room.exists():
                self._leave()
                self.root.mkdir(parents=True, exist_ok=True)
                self._room, self._held = _taken(self.root)
            return self._room

    def sweep(self) -> list[Path]:
        """Remove the rooms that nobody holds any more, and name them."""
        return [room for room in self._others() if _removed(room)]

    async def keep_swept(self) -> None:
        """Sweep at once, and then now and then."""
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except OSError:
                log.exception("%s cannot be swept just now", self.root)
            await asyncio.sleep(SWEEP_SECONDS)

    def close(self) -> None:
        """Leave nothing behind."""
        with self._taking:
            if self._room is not None:
                shutil.rmtree(self._room, ignore_errors=True)
            self._leave()

    def _others(self) -> Iterator[Path]:
        with suppress(FileNotFoundError), os.scandir(self.root) as entries:
            yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))

    def _leave(self) -> None:
        if self._held >= 0:
            os.close(self._held)
        self._room, self._held = None, -1


def _taken(root: Path) -> tuple[Path, int]:
    """Make a room and lock it; one that a sweeper finds in between it removes, and another is made."""
    while True:
        room = Path(tempfile.mkdtemp(dir=root))
        with suppress(FileNotFoundError):
            held = os.open(room, os.O_RDONLY | os.O_DIRECTORY)
            if _lock(held) is not False and room.exists():
                return room, held
            os.close(held)


def _lock(held: int) -> bool | None:
    """Take a lock unless somebody has it; `None` where there are no locks."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _removed(room: Path) -> bool:
    try:
        held = os.open(room, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        if not _lock(held):
            return False
        shutil.rmtree(room)
        log.info("removed %s, whose gateway is dead", room)
        return True
    finally:
        os.close(held)
