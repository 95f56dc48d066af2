"""Parts of inbound messages that wait for the others."""

import asyncio
from collections.abc import Callable

from heliograph.domain.instant import HOUR, MINUTE, Instant
from heliograph.store.store import Store

Apply = Callable[[bytes | None], bytes | None]


def adding(piece: bytes) -> Apply:
    """A piece joins those that are there; one that is there already does not join again."""

    def apply(content: bytes | None) -> bytes:
        pieces = set(content.split(b",")) if content else set()
        return b",".join(sorted(pieces | {piece}))

    return apply


def as_it_is(content: bytes | None) -> bytes | None:
    return content


def nothing(_: bytes | None) -> None:
    return None


async def change(store: Store, apply: Apply, key: str = "k", carrier: str = "one") -> bytes | None:
    return await store.parts.change(carrier, key, store.clock.now(), apply)


async def test_what_is_kept_is_what_the_next_one_is_given(store: Store) -> None:
    assert await change(store, adding(b"1")) == b"1"
    assert await change(store, adding(b"2")) == b"1,2"
    assert await change(store, as_it_is) == b"1,2"


async def test_of_what_is_not_there_nothing_is_kept(store: Store) -> None:
    assert await change(store, as_it_is) is None
    assert await store.parts.resting("one", Instant(store.clock.now() + HOUR), 10) == []


async def test_what_is_done_with_is_forgotten(store: Store) -> None:
    await change(store, adding(b"1"))
    assert await change(store, nothing) is None
    assert await change(store, as_it_is) is None


async def test_a_piece_given_again_is_kept_once(store: Store) -> None:
    for _ in range(3):
        assert await change(store, adding(b"1")) == b"1"


async def test_bytes_of_any_kind_are_kept(store: Store) -> None:
    anything = bytes(range(256))
    assert await change(store, lambda _: anything) == anything
    assert await change(store, as_it_is) == anything


async def test_keys_and_carriers_do_not_mix(store: Store) -> None:
    await change(store, adding(b"1"))
    assert await change(store, adding(b"2"), key="other") == b"2"
    assert await change(store, adding(b"3"), carrier="other") == b"3"
    assert await change(store, as_it_is) == b"1"


async def test_changes_of_one_key_in_one_commit_go_one_after_the_other(store: Store) -> None:
    answers = await asyncio.gather(*(change(store, adding(b"%d" % number)) for number in range(5)))
    assert answers == [b"0", b"0,1", b"0,1,2", b"0,1,2,3", b"0,1,2,3,4"]


async def test_what_cannot_be_applied_fails_its_caller_alone(store: Store) -> None:
    def impossible(_: bytes | None) -> bytes:
        raise ValueError("no such part")

    answers = await asyncio.gather(
        change(store, adding(b"1")), change(store, impossible, key="bad"), return_exceptions=True
    )
    assert answers[0] == b"1"
    assert isinstance(answers[1], ValueError)
    assert await change(store, as_it_is, key="bad") is None


async def test_two_nodes_that_are_handed_the_pieces_of_one_message_lose_none(store: Store, beside: Store) -> None:
    for number in range(60):
        await asyncio.gather(change(store, adding(b"1"), f"{number}"), change(beside, adding(b"2"), f"{number}"))
        assert await change(store, as_it_is, f"{number}") == b"1,2"


async def test_a_message_is_completed_by_one_of_two_nodes(store: Store, beside: Store) -> None:
    completed = []

    def completing(piece: bytes) -> Apply:
        """The last piece takes the message out."""

        def apply(content: bytes | None) -> bytes | None:
            whole = adding(piece)(content)
            return None if whole == b"1,2" else whole

        return apply

    for number in range(60):
        answers = await asyncio.gather(
            change(store, completing(b"1"), f"{number}"), change(beside, completing(b"2"), f"{number}")
        )
        completed.append(answers.count(None))
    assert completed == [1] * 60


async def test_a_key_may_vanish_while_another_node_is_about_to_change_it(store: Store, beside: Store) -> None:
    for _ in range(60):
        await change(store, adding(b"1"))
        gone, kept = await asyncio.gather(change(store, nothing), change(beside, adding(b"2")))
        assert gone is None
        assert kept in {b"2", b"1,2"}
        await change(store, nothing)


async def test_what_rests_is_found_oldest_first(store: Store) -> None:
    now = store.clock.now()
    for key, age in (("b", 2), ("a", 3), ("c", 1)):
        await store.parts.change("one", key, Instant(now - age * HOUR), adding(key.encode()))
    await store.parts.change("other", "d", Instant(now - 5 * HOUR), adding(b"d"))
    before = Instant(now - 90 * MINUTE)
    assert await store.parts.resting("one", before, 10) == [("a", b"a"), ("b", b"b")]
    assert await store.parts.resting("one", before, 1) == [("a", b"a")]


async def test_a_change_begins_the_rest_anew_and_a_look_does_not(store: Store) -> None:
    now = store.clock.now()
    await store.parts.change("one", "looked", Instant(now - HOUR), adding(b"1"))
    await store.parts.change("one", "changed", Instant(now - HOUR), adding(b"1"))
    await store.parts.change("one", "looked", now, as_it_is)
    await store.parts.change("one", "changed", now, adding(b"2"))
    assert await store.parts.resting("one", Instant(now - MINUTE), 10) == [("looked", b"1")]
