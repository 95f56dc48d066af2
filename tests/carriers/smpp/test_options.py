"""What a carrier may be told, and what is refused before anybody connects."""

from typing import Any

import pytest

from heliograph.carriers.smpp.encoding import Alphabet
from heliograph.carriers.smpp.options import Binds
from heliograph.carriers.smpp.parts import Manner
from heliograph.carriers.smpp.session import Mode
from tests.carriers.smpp.messages import options_of


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"binds": 0}, "binds is 0"),
        ({"window": 0}, "window is 0"),
        ({"throttle_base": 0}, "throttle_base is 0"),
        ({"rebind_max": -1}, "rebind_max is -1"),
        ({"reassembly_timeout": 0}, "reassembly_timeout is 0"),
        ({"response_timeout": 0}, "response_timeout is 0"),
        ({"port": 0}, "port is 0"),
        ({"port": 65_536}, "port is 65536"),
        ({"host": ""}, "host must not be empty"),
        ({"name": ""}, "name and host"),
        ({"password": "x" * 65}, "password has 65 bytes"),
        ({"system_id": "x" * 16}, "system_id has 16 bytes"),
        ({"service_type": "123456"}, "service_type has 6 bytes"),
        ({"registered_delivery": 256}, "registered_delivery"),
        ({"manner": Manner(meanings={0: Alphabet.LATIN1})}, "no data_coding means gsm7"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        options_of(**given)


def test_a_pair_is_a_transmitter_and_a_receiver() -> None:
    assert options_of(mode=Binds.PAIR).modes == (Mode.TRANSMITTER, Mode.RECEIVER)
    assert options_of().modes == (Mode.TRANSCEIVER,)
    assert options_of(mode=Binds.TRANSMITTER).modes == (Mode.TRANSMITTER,)
    assert options_of(mode=Binds.RECEIVER).modes == (Mode.RECEIVER,)


@pytest.mark.parametrize(("asked", "awaited"), [(1, True), (0x11, True), (0, False), (2, False), (0x10, False)])
def test_a_receipt_is_due_only_where_every_end_is_told(asked: int, awaited: bool) -> None:
    assert options_of(registered_delivery=asked).awaits_receipts is awaited
    assert not options_of(registered_delivery=asked, receipts=False).awaits_receipts


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(options_of(password="secret"))
