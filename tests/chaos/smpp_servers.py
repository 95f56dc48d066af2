"""Servers whose one carrier is an SMSC, what is sent through them, and the disasters that befall the two."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from random import Random

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from heliograph import randomness
from heliograph.clock import SystemClock
from heliograph.domain.accounts import Organization, Profile, ProfileSettings
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import MILLISECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.server import new_key, new_sender
from heliograph.store.engine import open_engine
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.store.tables import messages
from tests.chaos.evidence import seen
from tests.chaos.servers import Account, Server
from tests.chaos.smpp_centre import ACCOUNT, SmscProcess
from tests.chaos.workload import until

CARRIER = "acme"
NUMBER = "+18445550001"
BINDS = 2
WINDOW = 16
FULL = BINDS * WINDOW
"""Submits that one server can have under way."""
CROWD = 16
"""Clients of one server."""
BETWEEN = (50, 150)
"""Answers that clients get between two disasters."""
ANSWER_DELAY = 40 * MILLISECOND
"""Of the SMSC, unless it is told otherwise: at every moment some submits are under way."""
DELAYED = ("--answer-delay", "40ms", "--redeliver-delay", "100ms", "--slow-delay", "1s")

SHARED = {
    "+15005550000": 6,
    "+15005550001": 2,
    "+15005550002": 2,
    "+15005550003": 2,
    "+15005550007": 4,
    "+15005550008": 2,
}
"""Numbers that stand for something at the SMSC (`smsc_script.MAGIC`); how many messages of 100 go to each.

Many messages go to each of them, so that a receipt that nobody knows could be about more than one.
"""
LENGTHS = {1: 75, 2: 15, 3: 10}
"""How many messages of 100 have so many parts."""

CONFIG = """
[schedule]
min_lead = 0
cancel_cutoff = 0

[dispatch]
lease = "{lease}"
unconfirmed_after = "3s"
validity = "{validity}"
retry_base = "100ms"
retry_max = "500ms"

[pacing]
enabled = "off"

[log]
level = "warning"

[carriers.{carrier}]
kind = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "{system_id}"
password = "{password}"
binds = {binds}
window = {window}
response_timeout = "{response_timeout}"
settle_after = "{settle_after}"
rebind_base = "50ms"
rebind_max = "200ms"
throttle_base = "50ms"
throttle_max = "200ms"
"""
PATIENT: Mapping[str, object] = {"lease": "30s", "response_timeout": "20s"}
"""For a server that is to have no reason for doubt, however busy the machine is."""
USUAL: Mapping[str, object] = {
    "lease": "1s",
    "validity": "1h",
    "response_timeout": "700ms",
    "settle_after": "3s",
    "binds": BINDS,
    "window": WINDOW,
}


def over_smpp(folder: Path, port: int, **own: object) -> dict[str, str]:
    """Settings of a server whose carrier is an SMSC on a port."""
    system_id, password = ACCOUNT
    given = {**USUAL, "carrier": CARRIER, "port": port, "system_id": system_id, "password": password, **own}
    file = folder / "heliograph.toml"
    file.write_text(CONFIG.format(**given), encoding="utf-8")
    return {"CONFIG": str(file)}


def new_file(folder: Path) -> str:
    """The URL of a new SQLite database, for what has nothing to do with the kind of it."""
    file = folder / "h.db"
    file.touch()  # to SQLite an empty file is an empty database
    return f"sqlite:///{file}"


async def prepare(url: str, number: str = NUMBER) -> Account:
    """Make the schema, and somebody who may send."""
    await migrate(url)
    store = Store(open_engine(url, pool_size=2))
    await store.start()
    try:
        now = store.clock.now()
        organization = Organization(OrganizationId(randomness.new_id(now)), "Chaos")
        profile = Profile(ProfileId(randomness.new_id(now)), organization.id, "Chaos", ProfileSettings(), now, now)
        await store.changes.create_organization(organization, now)
        await store.changes.save_profile(profile)
        await store.changes.add_sender(new_sender(store, profile, number), now)
        return Account(await new_key(store, organization, "chaos"), number)
    finally:
        await store.stop()


class Letters:
    """Texts in which every part can be told from those of all others, each by the marker of its message.

    The marker stands behind what a receipt repeats of the text, so that a receipt alone does not tell two apart.
    """

    def __init__(self, chance: Random, shared: Mapping[str, int] = SHARED) -> None:
        self._chance = chance
        self._shared = shared
        self._numbers = count(1)

    def __call__(self) -> Mapping[str, str]:
        """The next."""
        number = next(self._numbers)
        [parts] = self._chance.choices([*LENGTHS], [*LENGTHS.values()])
        return {"to": self._recipient(number), "text": letter(number, parts, ucs2=self._chance.random() < 0.1)}

    def _recipient(self, number: int) -> str:
        if self._chance.random() * 100 >= sum(self._shared.values()):
            return f"+1312{2_000_000 + number}"
        [recipient] = self._chance.choices([*self._shared], [*self._shared.values()])
        return recipient


def letter(number: int, parts: int, *, ucs2: bool) -> str:
    """A text of so many parts, with its marker in each."""
    sentence = f"Your order is on its way: m{number:07}"
    if ucs2:
        return " ".join([sentence + "\N{SNOWMAN}", *[sentence] * 2 * (parts - 1)])
    return " ".join([sentence] * (1 if parts == 1 else 4 * parts - 2))


# ------------------------------------------------------------------------------------------------------- disasters


async def killed_unanswered(smsc: SmscProcess, server: Server) -> None:
    """The SMSC writes down and says nothing, until the server is dead."""
    await smsc.silent_until(FULL, BINDS)
    server.kill()
    smsc.does("silence off")
    await server.come_back()


async def killed_unrecorded(smsc: SmscProcess, url: str, server: Server) -> None:
    """The SMSC has answered everything, and the database has taken none of it down when the server dies."""
    clock = SystemClock()
    await smsc.more_submits(1)
    async with locked(url):
        # No claim is made any more, so that what is under way is answered by then.
        await until(Instant(clock.now() + 3 * ANSWER_DELAY), clock)
        server.kill()
    await server.come_back()


async def killed_claiming(store: Store, server: Server) -> None:
    """The server is killed as soon as one of its claims is in the database."""
    await seen(lambda: _in_hand(store), MILLISECOND)
    server.kill()
    await server.come_back()


async def _in_hand(store: Store) -> bool:
    claimed = (messages.c.status == Status.SENDING.value) & messages.c.claim_token.is_not(None)
    rows = await store.engine.fetch(select(func.count().label("count")).where(claimed))
    return bool(rows[0]["count"])


async def dropped_full(smsc: SmscProcess, _server: Server) -> None:
    """All links go while nothing more fits into their windows, or nothing more is put into them."""
    await smsc.silent_until(FULL, BINDS)
    smsc.does("drop")
    smsc.does("silence off")
    await smsc.more_binds(BINDS)


async def silent_for_long(smsc: SmscProcess, _server: Server) -> None:
    """The SMSC says nothing until links are hung up on: what was under way is in doubt."""
    smsc.does("silence on")
    await smsc.more_ends(BINDS)
    smsc.does("silence off")


async def in_doubt(store: Store) -> int:
    """How many messages are, or were, in doubt."""
    rows = await store.engine.fetch(select(func.count().label("count")).where(messages.c.in_doubt))
    return int(rows[0]["count"])


async def throttled(smsc: SmscProcess, _server: Server) -> None:
    """A wave of refusals: it is too much, whatever it is."""
    smsc.does("throttle on")
    await smsc.more_submits(20)
    smsc.does("throttle off")
    # Until it flows again, only one submit at a time is tried.
    await smsc.more_submits(FULL)


async def smsc_killed(smsc: SmscProcess, _server: Server) -> None:
    """The SMSC dies with submits under way, and is back."""
    await smsc.more_submits(1)
    await smsc.crash_and_start()
    await smsc.more_binds(BINDS)


async def unbound(smsc: SmscProcess, _server: Server) -> None:
    """The SMSC asks everybody to go, as for its own maintenance."""
    smsc.does("unbind")
    await smsc.more_binds(BINDS)


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """Nobody else writes to the database."""
    if make_url(url).get_backend_name() == "sqlite":
        async with _locked_file(make_url(url).database or ""):
            yield
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def _locked_file(file: str) -> AsyncIterator[None]:
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None, check_same_thread=False)) as connection:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
