"""Signatures against published examples, and which keys sign when."""

from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from nacl.signing import VerifyKey

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import DAY, HOUR, SECOND, Instant
from heliograph.domain.signing_keys import (
    LONGEST_OVERLAP,
    NoLiveKey,
    RotationUnderWay,
    WebhookKey,
    follow,
    keys_at,
    signs_until,
)
from heliograph.webhooks.signing import public_key, signed_headers, signed_headers_v1

NOW = Instant(1_800_000_000 * SECOND)
# RFC 8032, 7.1, test 1; and the example that the verifiers of Standard Webhooks are tested with.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"text":"Grüße, 👋🏽 мир"}'.encode()
EVENT = "0198f5a0-0000-7000-8000-000000000001"


def key(name: str = "a", seed: bytes = SEED) -> WebhookKey:
    """A key that signs from `NOW`."""
    organization = OrganizationId("00000000-0000-7000-8000-000000000001")
    return WebhookKey(name, organization, b64encode(seed).decode(), SECRET, NOW, NOW)


def after(micros: int) -> Instant:
    return Instant(NOW + micros)


def verify(public: bytes, signature: str, message: bytes) -> None:
    """Raises when the signature is not that of the message."""
    VerifyKey(public).verify(message, b64decode(signature, validate=True))


def test_the_public_key_is_that_of_the_seed() -> None:
    assert b64decode(public_key(key())) == PUBLIC


def test_the_providers_signature_is_over_time_bar_and_body() -> None:
    headers = signed_headers(keys_at([key()], NOW), EVENT, 1_700_000_000, BODY)
    assert headers["telnyx-timestamp"] == "1700000000"
    verify(PUBLIC, headers["telnyx-signature-ed25519"], b"1700000000|" + BODY)


def test_the_signature_of_standard_webhooks_is_that_of_its_published_example() -> None:
    event, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    headers = signed_headers(keys_at([key()], NOW), event, 1_614_265_330, body)
    symmetric, asymmetric = headers["webhook-signature"].split(" ")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (event, "1614265330")
    assert symmetric == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert asymmetric.startswith("v1a,")
    verify(PUBLIC, asymmetric.removeprefix("v1a,"), f"{event}.1614265330.".encode() + body)


def test_the_signature_of_version_1_is_that_of_the_providers_page() -> None:
    # As it stands on developers.telnyx.com/docs/v1/messaging/webhooks/inbound-message-signature: 6 line feeds, and the
    # two spaces before each field.
    fields = [
        '"sms_id":"834f3d53-8a3c-4aa0-a733-7f2d682a72df"',
        '"direction": "inbound"',
        '"from": "+13129450002"',
        '"to": "+13125550001"',
        '"body": "Hello!"',
    ]
    body = "{\n  " + ",\n  ".join(fields) + "\n}"
    headers = signed_headers_v1("rq789onm321yxzkjihfEdcAm", 1_520_983_646, body.encode())
    assert headers["X-Telnyx-Signature"] == "t=1520983646,h=WlEXoEsHH2RMgy2x8eyvg10JlMBco0s51fdNpMORF00="


def test_without_a_secret_version_1_is_not_signed() -> None:
    assert signed_headers_v1("", 1_520_983_646, BODY) == {
        "Content-Type": "application/json",
        "User-Agent": "telnyx-webhooks",
    }


def test_both_versions_say_what_they_are() -> None:
    for headers in (signed_headers(keys_at([key()], NOW), EVENT, 1, BODY), signed_headers_v1("s", 1, BODY)):
        assert (headers["Content-Type"], headers["User-Agent"]) == ("application/json", "telnyx-webhooks")


@pytest.mark.parametrize("event", ["", "a.1", "a b", "a\r\nX-Evil: 1", "é"])
def test_an_id_that_would_make_a_signature_ambiguous_is_refused(event: str) -> None:
    with pytest.raises(ValueError, match="cannot be the id of a webhook"):
        signed_headers(keys_at([key()], NOW), event, 1, BODY)


@pytest.mark.parametrize("seed", [b"", b"x" * 31, b"x" * 33])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(ValueError, match="seed"):
        public_key(key(seed=seed))


def test_a_key_shows_no_secret() -> None:
    assert SECRET not in repr(key())
    assert key().private_key not in repr(key())


def test_of_several_keys_one_signs_and_every_live_one_vouches() -> None:
    old, new = follow([key()], key("b", bytes(32)), NOW, HOUR)
    headers = signed_headers(keys_at([old, new], NOW), EVENT, 1, BODY)
    verify(PUBLIC, headers["telnyx-signature-ed25519"], b"1|" + BODY)
    versions = [each.partition(",")[0] for each in headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1", "v1a", "v1a"]
    new_public = b64decode(public_key(new))
    verify(new_public, headers["webhook-signature"].split(" ")[3].removeprefix("v1a,"), f"{EVENT}.1.".encode() + BODY)


@pytest.mark.parametrize(
    ("at", "signer", "live"),
    [
        (0, "a", "ab"),
        (HOUR - 1, "a", "ab"),
        (HOUR, "b", "ba"),
        (2 * HOUR - 1, "b", "ba"),
        (2 * HOUR, "b", "b"),
        (1000 * DAY, "b", "b"),
    ],
)
def test_a_new_key_is_live_at_once_signs_after_the_overlap_and_then_outlives_the_old(
    at: int, signer: str, live: str
) -> None:
    signing = keys_at(follow([key("a")], key("b"), NOW, HOUR), after(at))
    assert (signing.signer.id, "".join(each.id for each in signing.live)) == (signer, live)


def test_without_overlap_the_new_key_signs_alone_at_once() -> None:
    signing = keys_at(follow([key("a")], key("b"), NOW, 0), NOW)
    assert [each.id for each in signing.live] == ["b"]


def test_the_first_key_signs_at_once_whatever_the_overlap() -> None:
    assert follow([], key("a"), NOW, HOUR) == [key("a")]


@pytest.mark.parametrize("at", [0, HOUR, 2 * HOUR - 1])
def test_a_second_rotation_waits_for_the_end_of_the_first(at: int) -> None:
    keys = follow([key("a")], key("b"), NOW, HOUR)
    with pytest.raises(RotationUnderWay) as refused:
        follow(keys, key("c"), after(at), HOUR)
    assert refused.value.until == after(2 * HOUR)


def test_after_the_end_of_a_rotation_there_may_be_another() -> None:
    keys = follow(follow([key("a")], key("b"), NOW, HOUR), key("c"), after(2 * HOUR), HOUR)
    assert [(each.id, each.signs_from, each.retires_at) for each in keys] == [
        ("b", after(HOUR), after(4 * HOUR)),
        ("c", after(3 * HOUR), None),
    ]


@pytest.mark.parametrize("at", [1, HOUR, 2 * HOUR - 1])
def test_a_compromised_key_is_replaced_in_the_middle_of_a_rotation(at: int) -> None:
    keys = follow(follow([key("a")], key("b"), NOW, HOUR), key("c"), after(at), 0)
    assert [each.id for each in keys_at(keys, after(at)).live] == ["c"]
    assert {each.retires_at for each in keys if each.id != "c"} == {after(at)}


@pytest.mark.parametrize("overlap", [-1, LONGEST_OVERLAP + 1])
def test_an_overlap_that_cannot_be_meant_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match="an overlap of"):
        follow([key("a")], key("b"), NOW, overlap)


def test_a_node_whose_clock_is_behind_signs_with_the_first_key_all_the_same() -> None:
    assert keys_at([key("a")], after(-SECOND)).signer.id == "a"
    pair = [replace(key("b"), signs_from=after(HOUR)), key("a")]
    assert keys_at(pair, after(-SECOND)).signer.id == "a"


@pytest.mark.parametrize("keys", [[], [replace(key(), retires_at=NOW)]])
def test_without_a_live_key_nothing_signs(keys: list[WebhookKey]) -> None:
    with pytest.raises(NoLiveKey):
        keys_at(keys, NOW)


def test_a_key_signs_until_the_next_begins() -> None:
    old, new = follow([key("a")], key("b"), NOW, HOUR)
    assert (signs_until(old, [old, new]), signs_until(new, [old, new])) == (after(HOUR), None)
