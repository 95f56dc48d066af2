"""The upstream carrier: what room there is, rests, being down, start and stop."""

import asyncio
from dataclasses import replace

import pytest

from heliograph.carriers.interface import (
    OutcomeUnknown,
    Taken,
    Throttled,
    Unreachable,
)
from heliograph.carriers.upstream import UpstreamCarrier
from heliograph.carriers.upstream_standing import Pauses
from heliograph.clock import SystemClock, monotonic
from heliograph.domain.instant import HOUR, MILLISECOND, MINUTE, SECOND
from heliograph.outgoing import OutgoingHttp
from tests.carriers.upstreams import (
    KEY,
    LOCAL,
    MESSAGES,
    PROBE,
    QUICK,
    THEIR_ID,
    Kept,
    Watched,
    forwarding,
    options,
    refused,
    taken,
    upstream,
)
from tests.webhooks.receiver import (
    Behaviour,
    answer,
    close_unanswered,
    held,
)


async def test_nothing_is_given_to_it_before_it_has_answered() -> None:
    asked = asyncio.Event()
    async with upstream() as server:
        server.script(PROBE, held(asked))
        async with forwarding(server, wait=False) as watched:
            assert (watched.carrier.up, watched.carrier.room) == (False, 0)
            assert type(await watched.failure()) is Unreachable
            await server.holds(1, PROBE)
            asked.set()
            await watched.sees(lambda carrier: carrier.up)
            assert (watched.carrier.room, server.at(MESSAGES)) == (32, [])


async def test_the_probe_shows_our_key() -> None:
    async with upstream() as server, forwarding(server):
        (probe,) = server.at(PROBE)
        assert (probe.method, probe.headers["authorization"]) == ("GET", f"Bearer {KEY}")


async def test_the_window_bounds_what_is_under_way() -> None:
    gate = asyncio.Event()
    async with upstream() as server, forwarding(server, window=2) as watched:
        server.script(MESSAGES, held(gate, taken()))
        tasks = [asyncio.create_task(watched.submit()) for _ in range(2)]
        await server.holds(2, MESSAGES)
        assert (watched.carrier.room, watched.carrier.state().links[0].in_flight) == (0, 2)
        assert type(await watched.failure()) is Throttled
        gate.set()
        await asyncio.gather(*tasks)
        assert (watched.carrier.room, len(server.at(MESSAGES))) == (2, 2)


async def test_a_place_that_becomes_free_is_told() -> None:
    gate = asyncio.Event()
    async with upstream() as server, forwarding(server, window=1) as watched:
        server.script(MESSAGES, held(gate, taken()))
        task = asyncio.create_task(watched.submit())
        await server.holds(1, MESSAGES)
        gate.set()
        await watched.sees(lambda carrier: carrier.room == 1)
        await task


async def test_after_throttling_it_rests_as_long_as_it_was_asked_to() -> None:
    async with upstream() as server, forwarding(server, pauses=Pauses(SECOND, MINUTE)) as watched:
        server.script(MESSAGES, refused(429, "10011", Retry_After="30"))
        assert type(await watched.failure()) is Throttled
        carrier, state = watched.carrier, watched.carrier.state()
        assert (carrier.up, carrier.room, state.links[0].state, state.throttled) == (True, 0, "resting", 1)
        assert state.resting_until is not None
        assert 25 * SECOND < state.resting_until - SystemClock().now() <= 30 * SECOND
        assert type(await watched.failure()) is Throttled
        assert len(server.at(MESSAGES)) == 1


async def test_when_a_rest_is_over_it_says_so_and_one_message_goes_first() -> None:
    async with upstream() as server, forwarding(server, pauses=QUICK) as watched:
        server.script(MESSAGES, refused(429, "10011"), taken())
        await watched.failure()
        await watched.sees(lambda carrier: carrier.room == 1)
        await watched.submit()
        assert watched.carrier.room == 32


@pytest.mark.parametrize(
    "play",
    [refused(401, "10009"), refused(402, "20100"), answer(302), answer(503), answer(200, b"ok"), close_unanswered],
    ids=["key", "funds", "redirect", "503", "no id", "lost"],
)
async def test_what_no_message_would_pass_takes_it_down_and_is_shown(play: Behaviour) -> None:
    async with upstream() as server, forwarding(server) as watched:
        server.script(MESSAGES, play)
        failure = await watched.failure()
        carrier, state = watched.carrier, watched.carrier.state()
        assert (carrier.up, carrier.room, state.up, state.links[0].state) == (False, 0, False, "down")
        assert state.last_error is not None
        # To whom it was spoken is for the operator, and not for whoever sent the message.
        assert state.last_error.removeprefix(f"{state.links[0].name}: ") in failure.error.detail
        assert type(await watched.failure()) is Unreachable
        assert len(server.at(MESSAGES)) == 1


@pytest.mark.parametrize("play", [answer(404, b"not found"), answer(405)], ids=["404", "405"])
async def test_where_it_takes_no_messages_a_probe_that_is_answered_brings_it_up_for_one_and_later_each_time(
    play: Behaviour,
) -> None:
    quick = replace(QUICK, misdirected_first=MILLISECOND, misdirected_longest=HOUR)
    async with upstream() as server, forwarding(server, pauses=quick) as watched:
        server.script(MESSAGES, *[play] * 3)
        for _ in range(3):
            await watched.sees(lambda carrier: carrier.up)
            await watched.failure()
            assert (watched.carrier.up, watched.carrier.room) == (False, 0)
            assert "its base URL is wrong" in (watched.carrier.state().last_error or "")
        assert watched.carrier._standing._misdirected == 3


async def test_where_it_takes_no_messages_it_is_not_asked_at_once_whether_it_is_there() -> None:
    async with upstream() as server, forwarding(server, pauses=QUICK) as watched:
        server.script(MESSAGES, answer(404))
        await watched.failure()
        due = watched.carrier._standing.next_change(0)
        assert due is not None
        assert due - monotonic() > 4 * SECOND


async def test_while_it_is_held_it_is_given_nothing() -> None:
    async with upstream() as server, forwarding(server) as watched:
        watched.carrier.hold()
        assert (watched.carrier.up, watched.carrier.room) == (True, 0)
        assert type(await watched.failure()) is Unreachable
        assert server.at(MESSAGES) == []
        watched.carrier.resume()
        await watched.submit()


@pytest.mark.parametrize(("status", "code"), [(400, "40310"), (409, "40300"), (429, "40333"), (409, "10036")])
async def test_what_concerns_one_message_leaves_it_up(status: int, code: str) -> None:
    async with upstream() as server, forwarding(server) as watched:
        server.script(MESSAGES, refused(status, code))
        await watched.failure()
        assert (watched.carrier.up, watched.carrier.room) == (True, 32)


async def test_when_a_probe_is_answered_it_is_up_and_one_message_goes_first() -> None:
    async with upstream() as server, forwarding(server, pauses=QUICK) as watched:
        server.script(MESSAGES, answer(503), taken())
        await watched.failure()
        await watched.sees(lambda carrier: carrier.up)
        assert (watched.carrier.room, watched.carrier.state().links[0].state) == (1, "trying")
        await watched.submit()
        assert (watched.carrier.room, watched.carrier.state().links[0].state) == (32, "up")


async def test_it_is_probed_until_it_takes_our_key() -> None:
    async with upstream() as server:
        server.script(PROBE, *[refused(401, "10009", "Authentication failed")] * 3, answer(200))
        async with forwarding(server, wait=False, pauses=QUICK) as watched:
            await watched.sees(lambda carrier: carrier.state().last_error is not None)
            assert "10009 Authentication failed" in (watched.carrier.state().last_error or "")
            await watched.sees(lambda carrier: carrier.up)
            assert len(server.at(PROBE)) == 4


async def test_it_is_probed_until_somebody_listens() -> None:
    async with upstream() as server:
        await server.down()
        async with forwarding(server, wait=False, pauses=QUICK) as watched:
            await watched.sees(lambda carrier: carrier.state().last_error is not None)
            await server.up()
            await watched.sees(lambda carrier: carrier.up)
            assert await watched.submit() == Taken((THEIR_ID,))


async def test_of_a_window_that_is_lost_nothing_more_follows() -> None:
    gate = asyncio.Event()
    async with upstream() as server, forwarding(server, window=8) as watched:
        server.script(MESSAGES, held(gate, answer(502)))
        tasks = [asyncio.create_task(watched.failure()) for _ in range(8)]
        await server.holds(8, MESSAGES)
        gate.set()
        assert {type(each) for each in await asyncio.gather(*tasks)} == {OutcomeUnknown}
        assert (watched.carrier.state().unknown, watched.carrier.up) == (8, False)


async def test_the_counts_tell_outcomes_apart() -> None:
    async with upstream() as server, forwarding(server) as watched:
        said = [refused(400, "40310"), refused(429, "40333"), refused(409, "10036"), refused(429, "10011")]
        server.script(MESSAGES, taken(), *said)
        await watched.submit()
        for _ in range(4):
            await watched.failure()
        state = watched.carrier.state()
        assert (state.taken, state.refused, state.unknown, state.throttled) == (1, 2, 1, 1)


async def test_a_stop_waits_for_what_is_under_way_and_takes_nothing_more() -> None:
    gate = asyncio.Event()
    async with upstream() as server, forwarding(server) as watched:
        server.script(MESSAGES, held(gate, taken()))
        task = asyncio.create_task(watched.submit())
        await server.holds(1, MESSAGES)
        stopping = asyncio.create_task(watched.carrier.stop())
        await asyncio.sleep(0)
        assert (watched.carrier.up, watched.carrier.room, stopping.done()) == (False, 0, False)
        assert type(await watched.failure()) is Unreachable
        gate.set()
        await stopping
        assert await task == Taken((THEIR_ID,))


async def test_it_may_be_started_and_stopped_twice_and_in_any_order() -> None:
    async with upstream() as server:
        http = OutgoingHttp(LOCAL)
        await http.start()
        watched = Watched(UpstreamCarrier(options(server.url("/v2")), http, SystemClock()))
        await watched.carrier.stop()
        for _ in range(2):
            await watched.carrier.start(Kept())
            await watched.carrier.start(Kept())
            await watched.sees(lambda carrier: carrier.up)
            await watched.submit()
            await watched.carrier.stop()
            await watched.carrier.stop()
        assert watched.carrier.state().links[0].state == "stopped"
        await http.stop()
