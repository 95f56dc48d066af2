"""The way to the primary of a PostgreSQL cluster, and to no other server.

    hosts of the URL --all dialled at once--> who is no standby --newest timeline--> a connection

A standby answers reads, and a former primary that was cut off or frozen for a while does not know yet that it is one:
both would show as scheduled what was cancelled. So a standby is never kept, and of several that call themselves primary
the one on the newest timeline is. Each promotion begins a timeline. The newest one that was seen is remembered: whoever
is on an older one is dropped, and not asked again.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import asyncpg
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DisconnectionError

GRACE = 0.25
"""Seconds that others have to answer too, once one primary has: a frozen server must not hold up whoever dials."""
VANISHED = 10
"""Seconds after which a host that acknowledges nothing is taken for gone; the system's own bound is 15 minutes."""
_STANDING = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END"
_TIMELINE_DIGITS = 8
_KEEPALIVE = {"TCP_KEEPIDLE": VANISHED, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": VANISHED * 1000}
_SERVERS_KEEPALIVE = {
    "tcp_keepalives_idle": f"{VANISHED}s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{VANISHED}s",
}
"""The server is to notice that we have vanished, too: else it keeps our sessions for two hours, and its places for them
run out when the network fails a few times. Over a local socket it ignores them."""


class NoPrimary(ConnectionError):
    """No server that was asked is the primary; the text says what each of them is."""


@dataclass(frozen=True, slots=True)
class _Found:
    connection: Any
    timeline: int


class Primary:
    """Dials the primary among the hosts of a URL, and knows which connections lead to an older one."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._hosts = _each_host(arguments)
        self._newest = 0
        self._opened: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def dial(self) -> Any:
        """A new connection. Raises `NoPrimary`, or of a single host what it said."""
        if len(self._hosts) == 1:
            return self._chosen([await _try(self._hosts[0])])
        found: list[_Found] = []
        refused: list[BaseException] = []
        pending = {asyncio.create_task(_try(each)) for each in self._hosts}
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=GRACE if found else None, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                _sort(done, found, refused)
        except BaseException:
            _drop(found)
            raise
        finally:
            for each in pending:
                each.cancel()
        if not found:
            raise NoPrimary("no primary among the hosts: " + "; ".join(map(_said, refused)))
        return self._chosen(found)

    def _chosen(self, found: Sequence[_Found]) -> Any:
        best = max(found, key=lambda each: each.timeline)
        _drop([each for each in found if each is not best])
        if best.timeline < self._newest:
            _drop([best])
            raise NoPrimary(f"a former primary: on timeline {best.timeline}, and {self._newest} has begun")
        if best.timeline > self._newest:
            self._newest = best.timeline
            # Whoever waits for an answer of an older primary is told that its connection is closed.
            for each, timeline in list(self._opened.items()):
                if timeline < self._newest:
                    each.terminate()
        self._opened[best.connection] = best.timeline
        return best.connection


def postgres_engine(url: str, timeout: float, session: Mapping[str, str] | None = None, **options: Any) -> Engine:
    """SQLAlchemy's engine whose connections all lead to the primary; `timeout`, seconds, is to reach one host."""
    address = make_url(url).set(drivername="postgresql+asyncpg")
    chosen: list[Primary] = []

    async def dial() -> Any:
        return await chosen[0].dial()

    def creator() -> Any:
        return engine.dialect.loaded_dbapi.connect(async_creator_fn=dial)

    engine = create_engine(address, creator=creator, **options)
    arguments = engine.dialect.create_connect_args(address)[1]
    settings = {**_SERVERS_KEEPALIVE, **(session or {})}
    chosen.append(Primary({"timeout": timeout, "server_settings": settings, **arguments}))
    idle = _Idle()
    event.listen(engine, "checkout", idle.taken)
    event.listen(engine, "checkin", idle.given_back)
    event.listen(engine, "invalidate", idle.one_failed)
    return engine


class _Idle:
    """The connections that nobody uses, of which each may have died unseen."""

    def __init__(self) -> None:
        self._connections: WeakSet[Any] = WeakSet()

    def taken(self, connection: Any, _record: object, _proxy: object) -> None:
        """What was closed while nobody used it is dialled anew; without this its next user would be told."""
        self._connections.discard(connection.driver_connection)
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    def given_back(self, connection: Any, _record: object) -> None:
        """It idles; None where it was given up."""
        if connection is not None:
            self._connections.add(connection.driver_connection)

    def one_failed(self, _connection: object, _record: object, error: BaseException | None) -> None:
        """Close them all when one of the others is given up: what made it fail or fall silent was mostly theirs too.

        Else whoever asks next would wait for as long on the next of them. Those in use are left to their users.
        """
        if isinstance(error, DisconnectionError):
            return  # by `taken`
        for each in list(self._connections):
            each.terminate()
        self._connections.clear()


def _each_host(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    hosts, ports = arguments.get("host"), arguments.get("port")
    if not isinstance(hosts, list) or not isinstance(ports, list):
        return [dict(arguments)]
    return [{**arguments, "host": host, "port": port} for host, port in zip(hosts, ports, strict=True)]


async def _try(arguments: Mapping[str, Any]) -> _Found:
    where = f"{arguments.get('host')}:{arguments.get('port')}"
    connection = None
    try:
        async with asyncio.timeout(arguments["timeout"]):
            connection = await asyncpg.connect(**arguments)
            segment = await connection.fetchval(_STANDING)
    except BaseException as error:
        if connection is not None:
            connection.terminate()
        if isinstance(error, TimeoutError):
            raise TimeoutError(f"{where} does not answer") from error
        raise
    if segment is None:
        connection.terminate()
        raise NoPrimary(f"{where} is a standby")
    _notice_vanishing(connection)
    return _Found(connection, int(segment[:_TIMELINE_DIGITS], 16))


def _notice_vanishing(connection: Any) -> None:
    """Ask the system to close a connection whose host has vanished; asyncpg has no option for it."""
    used = connection._transport.get_extra_info("socket")
    if used is None or used.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with suppress(OSError):
        used.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                used.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _sort(done: set["asyncio.Task[_Found]"], found: list[_Found], refused: list[BaseException]) -> None:
    for each in done:
        if (error := each.exception()) is not None:
            refused.append(error)
        else:
            found.append(each.result())


def _drop(found: Sequence[_Found]) -> None:
    for each in found:
        each.connection.terminate()


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
