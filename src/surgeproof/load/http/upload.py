"""Streamed request bodies: chunks written as the socket takes them, and no faster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from surgeproof.load.http.body import LAST_CHUNK, framed_chunks
from surgeproof.load.http.connection import Connection, Exchange

__all__ = ["Upload"]


class Upload:
    """The rest of a request, on its way; begins at once, in a task of its own.

    ``complaint`` says what was wrong with the chunks; the connection is closed then.
    """

    __slots__ = ("_connection", "_exchange", "_is_complete", "_task", "complaint")

    def __init__(self, connection: Connection, exchange: Exchange, chunks: Iterable[bytes]) -> None:
        self._connection, self._exchange = connection, exchange
        self._is_complete = False
        self.complaint = ""
        self._task = asyncio.get_running_loop().create_task(self._write(chunks))

    def stop(self) -> bool:
        """Write no more; return whether everything had been written."""
        self._task.cancel()
        return self._is_complete

    async def _write(self, chunks: Iterable[bytes]) -> None:
        connection = self._connection
        try:
            for data in framed_chunks(chunks):
                if connection.exchange is not self._exchange:
                    return
                connection.send_more(data)
                # Before the wait: the answer may be there when it ends.
                self._is_complete = data == LAST_CHUNK
                # Others are to have their turn, however fast the chunks come.
                await (asyncio.sleep(0) if connection.is_writable else self._writable())
        except Exception as error:  # noqa: BLE001 - the border to the scenario's code
            self.complaint = f"the streamed body raised {error!r}"
            connection.close()

    async def _writable(self) -> None:
        taken = asyncio.Event()
        self._connection.wake_writer = taken.set
        await taken.wait()
