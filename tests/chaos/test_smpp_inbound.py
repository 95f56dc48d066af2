"""Messages from handsets, whole and in parts, flood servers that are killed: what was acknowledged is kept."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from sqlalchemy import func, select

from heliograph.carriers.smpp.smsc_deliveries import message_of
from heliograph.domain.instant import MILLISECOND
from heliograph.store.store import Store
from heliograph.store.tables import inbound_messages
from tests.chaos.evidence import reading, seen
from tests.chaos.servers import Server, serving
from tests.chaos.smpp_centre import SmscProcess, centre
from tests.chaos.smpp_servers import NUMBER, new_file, over_smpp, prepare

MESSAGES = 160
"""In each wave; a server is killed twice in each."""
WAVES = 1
SMALL_STEPS = ("--deliver-window", "5", "--redeliver-delay", "100ms")
"""The SMSC waits for acknowledgements, so that much is left to come when a server is killed."""
SENTENCE = "Where is my order"


@dataclass(frozen=True, slots=True)
class Written:
    """What somebody wrote on a handset."""

    sender: str
    text: str
    ucs2: bool
    sar: bool

    @property
    def parts(self) -> int:
        """How many deliveries it takes."""
        return len(message_of(self.sender, NUMBER, self.text, 0, ucs2=self.ucs2, sar=self.sar))

    @property
    def line(self) -> str:
        """How the SMSC is told to send it."""
        options = ["--ucs2"] * self.ucs2 + ["--sar"] * self.sar
        return " ".join(["mo", *options, self.sender, NUMBER, self.text])

    @property
    def name(self) -> str:
        """What the SMSC calls each of its parts."""
        return f"message {self.sender.removeprefix('+')} -> {NUMBER.removeprefix('+')}"


async def test_what_a_server_acknowledged_before_it_was_killed_is_kept_with_its_parts_joined(
    tmp_path: Path, chance: Random, scale: int
) -> None:
    await flood(new_file(tmp_path), tmp_path, chance, scale, servers=1)


async def test_parts_that_come_to_several_servers_are_joined_though_one_is_killed(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random, scale: int
) -> None:
    await flood(new_postgres_database(), tmp_path, chance, scale, servers=2)


async def flood(url: str, folder: Path, chance: Random, scale: int, *, servers: int) -> None:
    """Let people write, kill a server in the middle of each wave of it, and look at what is kept."""
    account, waves = await prepare(url), [write(wave, chance) for wave in range(WAVES * scale)]
    async with AsyncExitStack() as until_end:
        smsc = await until_end.enter_async_context(centre(folder / "record", SMALL_STEPS))
        store = await until_end.enter_async_context(reading(url))
        settings = over_smpp(folder, smsc.port)
        victim, *_ = await until_end.enter_async_context(serving(url, settings, servers, account))
        for wave in waves:
            first, second = wave[: MESSAGES // 2], wave[MESSAGES // 2 :]
            due = smsc.delivered.total() + parts_of(first)
            await kill_when_kept(first, smsc, victim, store)
            await acknowledged(smsc, due)
            await kill_when_acknowledged(second, smsc, victim)
            await acknowledged(smsc, due + parts_of(second))
        kept = await texts_by_sender(store)
    written = [each for wave in waves for each in wave]
    twice = sum(len(texts) > 1 for texts in kept.values())
    print(f"messages {len(written)}, acknowledged parts {smsc.delivered.total()}, of them kept twice {twice}")
    require_kept(written, smsc.delivered, kept)


async def kill_when_kept(wave: Sequence[Written], smsc: SmscProcess, victim: Server, store: Store) -> None:
    """Kill a server as soon as a message is in the database, whether or not that was acknowledged yet."""
    kept = await count_kept(store)
    smsc.does("\n".join(each.line for each in wave))
    await seen(lambda: more_kept(store, kept), MILLISECOND)
    await victim.crash_and_start()


async def kill_when_acknowledged(wave: Sequence[Written], smsc: SmscProcess, victim: Server) -> None:
    """Kill a server when a quarter of what was sent was acknowledged."""
    before, parts = smsc.delivered.total(), parts_of(wave)
    smsc.does("\n".join(each.line for each in wave))
    await smsc.until(lambda: smsc.delivered.total() >= before + parts // 4)
    assert smsc.delivered.total() < before + parts, "nothing was left to come when the server was killed"
    await victim.crash_and_start()


async def acknowledged(smsc: SmscProcess, parts: int) -> None:
    """Return once so many parts of messages were answered with ROK."""
    await smsc.until(lambda: smsc.delivered.total() >= parts)


def parts_of(written: Sequence[Written]) -> int:
    """How many deliveries they take."""
    return sum(each.parts for each in written)


async def count_kept(store: Store) -> int:
    """How many messages came in."""
    rows = await store.engine.fetch(select(func.count().label("count")).select_from(inbound_messages))
    return int(rows[0]["count"])


async def more_kept(store: Store, before: int) -> bool:
    """Whether another came in."""
    return await count_kept(store) > before


def write(wave: int, chance: Random) -> Sequence[Written]:
    """Messages of one part or several, each from somebody else."""
    return [
        Written(
            sender=f"+1415{2_000_000 + number}",
            text=" ".join([f"{SENTENCE} {number}?"] * chance.choice((1, 1, 6, 12))),
            ucs2=chance.random() < 0.2,
            sar=chance.random() < 0.5,
        )
        for number in range(wave * MESSAGES, (wave + 1) * MESSAGES)
    ]


async def texts_by_sender(store: Store) -> Mapping[str, list[str]]:
    """What is kept of everybody."""
    kept: defaultdict[str, list[str]] = defaultdict(list)
    for row in await store.engine.fetch(select(inbound_messages.c.sender, inbound_messages.c.text)):
        kept[row["sender"]].append(row["text"])
    return kept


def require_kept(written: Sequence[Written], delivered: Counter[str], kept: Mapping[str, list[str]]) -> None:
    """What was acknowledged as a whole is there, joined and as it was written; what came in parts only once.

    One that came whole has no reference of its own, and is there again where the acknowledgement was lost.
    """
    broken = [
        (each, texts)
        for each in written
        if (texts := kept.get(each.sender, []))[:1] != [each.text] * (delivered[each.name] >= each.parts)
        or set(texts) - {each.text}
        or (each.parts > 1 and len(texts) > 1)
    ]
    assert broken == [], f"{len(broken)} are not as they should be, such as {broken[:5]}"
