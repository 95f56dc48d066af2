"""How answers leave a connection: joined, in order, and never kept behind."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from heliograph.api.connection import JoinedWrites


class Recording(asyncio.Transport):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.told.append(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.told.append(b"".join(list_of_data))

    def close(self) -> None:
        self.told.append("closed")


@pytest.fixture
def below() -> Recording:
    return Recording()


@pytest.fixture
async def transport(below: Recording) -> JoinedWrites:
    return JoinedWrites(below, asyncio.get_running_loop())


async def test_head_and_body_are_one_write(below: Recording, transport: JoinedWrites) -> None:
    transport.write(b"head ")
    transport.write(b"body")
    assert below.told == [b"head body"]
    await asyncio.sleep(0)
    assert below.told == [b"head body"]


async def test_what_nothing_follows_leaves_by_itself(below: Recording, transport: JoinedWrites) -> None:
    transport.write(b"HTTP/1.1 100 Continue")
    await asyncio.sleep(0)
    assert below.told == [b"HTTP/1.1 100 Continue"]


async def test_a_stream_is_handed_over_as_it_comes(below: Recording, transport: JoinedWrites) -> None:
    for each in (b"head ", b"1 ", b"2 ", b"3 ", b"4"):
        transport.write(each)
    assert below.told == [b"head 1 ", b"2 3 "]
    await asyncio.sleep(0)
    assert below.told == [b"head 1 ", b"2 3 ", b"4"]


async def test_closing_leaves_nothing_behind(below: Recording, transport: JoinedWrites) -> None:
    transport.write(b"head")
    transport.close()
    await asyncio.sleep(0)
    assert below.told == [b"head", "closed"]
