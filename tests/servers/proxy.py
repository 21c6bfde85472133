"""A network that can be made to fail: it stands between clients and one server on this machine."""

import asyncio
import contextlib
import threading
from enum import Enum

CHUNK = 2**16
SLOW_SECONDS = 0.15
_LOOK_SECONDS = 0.02


class Network(Enum):
    """How it behaves."""

    WELL = "well"
    #: Connections are reset as soon as they are made, and those there are at once.
    REFUSING = "refusing"
    #: Every piece waits.
    SLOW = "slow"
    #: Half open: connections are taken and kept, and nothing goes through them.
    SILENT = "silent"


class Proxy:
    """Passes bytes on to `port`, as long as it behaves well.

    Args:
        port: Where the server listens on this machine.
    """

    def __init__(self, port: int) -> None:
        self.target, self.network = port, Network.WELL
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        # There, for this thread may be in a loop of its own: Playwright's is.
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    def behave(self, network: Network) -> None:
        """Change how it behaves; what hung before is reset, as by a router that has lost its memory."""
        before, self.network = self.network, network
        if network is Network.REFUSING or before is Network.SILENT:
            self._loop.call_soon_threadsafe(self._reset)

    def end(self) -> None:
        """Let go of everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        self._reset()
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _reset(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer), contextlib.suppress(OSError):
            if self.network is Network.REFUSING:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            with self._kept(back):
                await self._first_end(self._pump(reader, back), self._pump(there, writer))

    async def _first_end(self, *pumps: object) -> None:
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(CHUNK):
            if self.network is Network.SLOW:
                await asyncio.sleep(SLOW_SECONDS)
            while self.network is Network.SILENT:
                await asyncio.sleep(_LOOK_SECONDS)
            writer.write(piece)
            await writer.drain()

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter):
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            writer.transport.abort() if self.network is Network.REFUSING else writer.close()
