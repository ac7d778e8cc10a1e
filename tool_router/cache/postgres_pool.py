"""Work on a PostgreSQL server through a pool of connections, each piece on a worker thread.

A server that does not answer fails fast, is said once, and is left alone for a while.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeVar

import anyio
import psycopg
import structlog
from anyio import to_thread
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from tool_router.cache.postgres_schema import Connection, configure, create_if_absent
from tool_router.cache.rest import Rest
from tool_router.errors import ConfigError, StoreError

T = TypeVar("T")

CONNECTIONS = 20
RECYCLED_S = 3600.0
"""A connection is replaced after this time, so that a server's memory for it does not grow for ever."""
CONNECT_S = 2
"""libpq waits at least two seconds for a host that is silent; one that refuses fails at once."""
LIMIT_S = 6.0
"""Longest one piece of work takes; the server itself gives a statement up after five seconds."""


class _Unreachable(Exception):
    """There is no connection to be had, or it broke."""


class PostgresPool:
    """Connections to one database, made when they are needed.

    Args:
        url: the database; a password in it is never logged.
        clock: monotonic, in seconds.

    Raises:
        ConfigError: the address can't be read.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # What libpq says of it may repeat the password.
            raise ConfigError("store.url can't be read.", "Write postgresql://user@host:port/name.") from None
        self._url = url
        self._password = str(parts.get("password") or "")
        host, port = parts.get("host") or "the local host", parts.get("port")
        database = parts.get("dbname") or parts.get("user") or ""
        self.where = f"{host}:{port}/{database}" if port else f"{host}/{database}"
        self._pool: ConnectionPool[Connection] | None = None
        self._opening = threading.Lock()
        self._refusals = 0
        self._refusal: psycopg.OperationalError | None = None
        self._in_use: set[Connection] = set()
        self._limiter = anyio.CapacityLimiter(CONNECTIONS)
        self._rest = Rest(clock)
        self._reason = ""
        self._closed = False
        # What the pool meets in the background, it meets again in the foreground, where it is said once.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work on a connection; once more after a deadlock, or on a new one when it broke.

        Work must bear being done twice. A cancelled caller does not wait for it.

        Raises:
            StoreError: the server can't be reached, rests after a failure, or refused.
        """
        if not self._rest.may_try(LIMIT_S):
            raise self._unreachable()
        mine: set[Connection] = set()
        try:
            with anyio.fail_after(LIMIT_S):
                result = await to_thread.run_sync(
                    self._run, work, mine, abandon_on_cancel=True, limiter=self._limiter
                )
        except TimeoutError:
            _cut(mine)
            raise self._failed("no answer in time") from None
        except _Unreachable as error:
            raise self._failed(self._said_by(error.__cause__)) from None
        except (psycopg.Error, UnicodeError) as error:
            self._worked()
            raise StoreError(f"PostgreSQL at {self.where} refused: {self._said_by(error)}.") from None
        self._worked()
        return result

    async def aclose(self) -> None:
        """Close every connection, those in use too."""
        self._closed = True
        _cut(self._in_use)
        await to_thread.run_sync(self._drop, self._pool, limiter=anyio.CapacityLimiter(1))

    def _run(self, work: Callable[[Connection], T], mine: set[Connection]) -> T:
        was_connected = self._pool is not None
        try:
            return self._attempt(work, mine)
        except psycopg.errors.DeadlockDetected:
            # Another router wrote the same rows in another order; it is through now.
            pass
        except _Unreachable:
            # The server was restarted or ended the session: every connection of the old pool is gone.
            if not was_connected:
                raise
        return self._attempt(work, mine)

    def _attempt(self, work: Callable[[Connection], T], mine: set[Connection]) -> T:
        pool = self._ready()
        try:
            with pool.connection() as connection, self._noted(connection, mine):
                try:
                    return work(connection)
                except psycopg.OperationalError as error:
                    if connection.closed:
                        raise _Unreachable from error
                    raise
        except (_Unreachable, PoolTimeout, PoolClosed) as error:
            self._drop(pool)
            if isinstance(error, _Unreachable):
                raise
            raise _Unreachable from error

    def _ready(self) -> ConnectionPool[Connection]:
        """The pool; where there is none, one is made after a connection of its own has found the server."""
        refusals = self._refusals
        with self._opening:
            if self._closed:
                raise _Unreachable from PoolClosed("the store is closed")
            if self._pool is None:
                # Those who waited here meanwhile take the same answer, instead of a wait of their own each.
                if self._refusal is not None and self._refusals != refusals:
                    raise _Unreachable from self._refusal
                try:
                    self._pool = self._opened()
                except psycopg.OperationalError as error:
                    self._refusals += 1
                    self._refusal = error
                    raise _Unreachable from error
            return self._pool

    def _opened(self) -> ConnectionPool[Connection]:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_S) as connection:
            configure(connection)
            create_if_absent(connection)
        return ConnectionPool(
            self._url,
            connection_class=psycopg.Connection[TupleRow],
            kwargs={"autocommit": True, "connect_timeout": CONNECT_S, "tcp_user_timeout": 5_000},
            configure=configure,
            min_size=0,
            max_size=CONNECTIONS,
            max_lifetime=RECYCLED_S,
            timeout=CONNECT_S,
            reconnect_timeout=CONNECT_S,
            num_workers=2,
            open=True,
        )

    def _drop(self, pool: ConnectionPool[Connection] | None) -> None:
        with self._opening:
            if self._pool is pool:
                self._pool = None
        if pool is not None:
            pool.close(timeout=CONNECT_S)

    @contextmanager
    def _noted(self, connection: Connection, mine: set[Connection]) -> Generator[None]:
        for connections in (mine, self._in_use):
            connections.add(connection)
        try:
            yield
        finally:
            for connections in (mine, self._in_use):
                connections.discard(connection)

    def _worked(self) -> None:
        if self._rest.worked():
            structlog.get_logger().info("store_reachable", where=self.where)

    def _failed(self, reason: str) -> StoreError:
        if self._rest.failed():
            self._reason = reason
            structlog.get_logger().warning(
                "store_unreachable",
                where=self.where,
                reason=reason,
                next_step="Nothing is kept until it answers again; check store.url.",
            )
        return self._unreachable()

    def _unreachable(self) -> StoreError:
        # The same words while it lasts, so that whoever reports them can report them once.
        return StoreError(f"PostgreSQL at {self.where} can't be reached: {self._reason}.")

    def _said_by(self, error: BaseException | None) -> str:
        """The first line of an error, without the password."""
        lines = str(error).strip().splitlines() or [type(error).__name__]
        line = lines[0].rstrip(".").replace(self._url, self.where)
        return line.replace(self._password, "[password]") if self._password else line


def _cut(connections: set[Connection]) -> None:
    """Shut the sockets of connections that a thread waits on, so that the thread ends.

    Closing the connection itself from here would not be safe.
    """
    for connection in tuple(connections):
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
