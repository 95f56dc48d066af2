"""Heliograph the whole way, beside Kannel: HTTP, database, SMPP to the npm SMSC, receipts, signed webhooks.

    round: Kannel, then Heliograph on each database

A message is one `POST /v2/messages`; it has arrived when both of its events, `message.sent` and `message.finalized`,
have reached the receiver. Kannel calls back once for a message, when its receipt came.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.arrivals import Arrivals, receiver
from bench.burst import RECIPIENT, length_of
from bench.kannel import TEXT, WINDOW, kannel
from bench.measure import Processes, postgres_processes
from bench.passage import Gateway, PassageOptions, show, take_turns
from bench.service import SENDER, fetch_rows, new_database
from bench.smsc.process import Missing, Smsc, smsc
from heliograph import randomness
from heliograph.domain.accounts import Organization, Profile, ProfileSettings
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.server import new_key, new_sender, open_store
from heliograph.settings import load
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerProcess

_CONFIGURATION = f"""
[log]
level = "warning"

[outgoing]
allow = ["127.0.0.0/8"]

[pacing]
enabled = "off"

[carriers.bench]
kind = "smpp"
host = "127.0.0.1"
port = %d
system_id = "bench"
password = "secret"
window = {WINDOW}
"""
_DELIVERED = "SELECT count(*) FROM messages WHERE status = 'delivered'"


@dataclass(frozen=True, slots=True)
class _Database:
    """One with an account in it."""

    kind: str
    url: str
    key: str


def run(options: PassageOptions) -> None:
    """Rates and their ratio to Kannel's, where it is installed. Raises `Missing` for Node.js and the SMSC."""
    with ExitStack() as until_end:
        peer, arrivals = until_end.enter_context(smsc(receipts=True)), until_end.enter_context(receiver())
        gateways = []
        try:
            gateways.append(until_end.enter_context(kannel(peer, arrivals)))
        except Missing as missing:
            print(f"\nHeliograph alone: {missing}.")
        for kind in options.databases:
            database = _new_database(kind, options, arrivals, until_end)
            servers = options.servers if kind == "postgresql" else 1
            gateways.append(until_end.enter_context(_heliograph(database, servers, peer, arrivals)))
        take_turns(gateways, options)
    show(gateways, options)


def _new_database(kind: str, options: PassageOptions, arrivals: Arrivals, until_end: ExitStack) -> _Database:
    url = new_database(kind, options, until_end)
    return _Database(kind, url, asyncio.run(_open_account(url, f"http://127.0.0.1:{arrivals.port}/webhooks")))


async def _open_account(url: str, webhook_url: str) -> str:
    """Migrate an empty database, and make an organisation whose events go to a URL; its key."""
    await migrate(url)
    store = open_store(load(None, {}, {"database.url": url}))
    await store.start()
    try:
        return await _make_account(store, webhook_url)
    finally:
        await store.stop()


async def _make_account(store: Store, webhook_url: str) -> str:
    now = store.clock.now()
    organization = Organization(OrganizationId(randomness.new_id(now)), "Benchmark")
    settings = ProfileSettings(webhook_url=webhook_url)
    profile = Profile(ProfileId(randomness.new_id(now)), organization.id, "Benchmark", settings, now, now)
    await store.changes.create_organization(organization, now)
    await store.changes.save_profile(profile)
    await store.changes.add_sender(new_sender(store, profile, SENDER), now)
    return await new_key(store, organization, "benchmark")


@contextmanager
def _heliograph(database: _Database, servers: int, peer: Smsc, arrivals: Arrivals) -> Iterator[Gateway]:
    """So many servers on one database, each with a link of its own to the SMSC."""
    with TemporaryDirectory(prefix="heliograph-bench-") as name, ExitStack() as until_end:
        configuration = Path(name) / "heliograph.toml"
        configuration.write_text(_CONFIGURATION % peer.port)
        settings = {"CONFIG": str(configuration)}
        running = [
            until_end.enter_context(ServerProcess(database.url, settings, sandbox=False)) for _ in range(servers)
        ]
        ports = [int(each.ready["base_url"].rpartition(":")[2]) for each in running]
        processes = {"server" if servers == 1 else f"{servers} servers": Processes(*(each.pid for each in running))}
        if database.kind == "postgresql":
            processes["PostgreSQL"] = asyncio.run(postgres_processes(database.url))
        yield Gateway(
            name=f"Heliograph, {database.kind}{f', {servers} servers' if servers > 1 else ''}",
            ports=ports,
            request=_request(database.key),
            answer="HTTP/1.1 200 ",
            callbacks=2,
            smsc=peer,
            arrivals=arrivals,
            processes=processes,
            check=lambda taken: _check(database, taken),
        )


def _request(key: str) -> str:
    body = json.dumps({"from": SENDER, "to": f"+{RECIPIENT}", "text": TEXT})
    head = f"host: 127.0.0.1\r\nauthorization: Bearer {key}\r\naccept: application/json\r\n"
    head += f"content-type: application/json\r\ncontent-length: {length_of(body)}\r\n"
    return f"POST /v2/messages HTTP/1.1\r\n{head}\r\n{body}"


def _check(database: _Database, taken: int) -> None:
    found = fetch_rows(database.url, _DELIVERED)[0][0]
    if found != taken:
        raise SystemExit(f"{taken} messages were taken, and {found} are delivered in the database")
