"""Kombu's folder of messages, read without taking one that is still being written.

The original opens a file and then writes it; a reader that comes between the two takes an empty message,
and Celery gives up on it.
"""

import json
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem


class Channel(filesystem.Channel):
    """Reads only messages that have begun to have content: they are written in one piece."""

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            try:
                payload = path.read_text(encoding="utf-8")
                if not payload:
                    continue
                path.unlink()
            except FileNotFoundError:
                continue  # another worker was faster
            return json.loads(payload)
        raise Empty


class Transport(filesystem.Transport):
    """The folder transport with our channel."""

    Channel = Channel


def use() -> None:
    """Let `filesystem://` mean this transport in this process."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
