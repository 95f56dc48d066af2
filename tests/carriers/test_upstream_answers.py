"""What an upstream's answers mean: every status and code, without a server."""

import json

import pytest

from heliograph.carriers.interface import (
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
)
from heliograph.carriers.upstream_answers import (
    DELIVERY_CODES,
    QUOTED,
    AtFault,
    Judged,
    UpstreamError,
    delivery_error_of,
    errors_in,
    forbidden,
    judge,
)
from heliograph.domain.instant import MINUTE, SECOND
from heliograph.outgoing import HttpAnswer

NOW = 1_795_500_000


def said(status: int, body: object = b"", *headers: tuple[str, str]) -> HttpAnswer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(status, headers, content, cut=False)


def error(code: object, title: object = "Title", detail: object = "Detail.") -> dict[str, object]:
    return {"errors": [{"code": code, "title": title, "detail": detail}]}


def judged(status: int, body: object = b"", *headers: tuple[str, str]) -> Judged:
    found = judge(said(status, body, *headers), NOW)
    assert isinstance(found, Judged)
    return found


def kind(status: int, body: object = b"") -> tuple[type[CarrierFailure], AtFault]:
    found = judged(status, body)
    return type(found.failure), found.at_fault


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_answer_with_an_id_is_taken(status: int) -> None:
    assert judge(said(status, {"data": {"id": "4031-a"}}), NOW) == Taken(("4031-a",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"\xff",
        b'{"data":{"id":"4031',
        b"[" * 100_000,
        {},
        [],
        {"data": None},
        {"data": []},
        {"data": {"id": None}},
        {"data": {"id": 7}},
        {"data": {"id": ""}},
        {"data": {"id": "a b"}},
        {"data": {"id": "a\0"}},
        {"data": {"id": "x" * 129}},
        {"id": "4031-a"},
    ],
    ids=lambda body: repr(body)[:30],
)
def test_a_success_without_a_usable_id_is_unknown(body: object) -> None:
    assert kind(200, body) == (OutcomeUnknown, AtFault.UPSTREAM)


def test_what_is_unknown_names_one_part_without_an_id() -> None:
    failure = judged(500).failure
    assert (failure.taken, failure.error.code) == ((None,), "49001")


@pytest.mark.parametrize("status", [100, 101, 408, 500, 501, 502, 503, 504, 520, 599, 600, 999])
def test_a_status_that_says_nothing_of_the_message_is_unknown(status: int) -> None:
    assert kind(status, error("10037")) == (OutcomeUnknown, AtFault.UPSTREAM)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_means_that_the_base_url_is_wrong(status: int) -> None:
    found = judged(status)
    assert (type(found.failure), found.at_fault) == (TemporarilyRefused, AtFault.ADDRESS)
    assert "base URL is wrong" in found.failure.error.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (401, error("10009")),
        (401, b"<html>"),
        (402, error("20100", "Insufficient Funds")),
        (403, error("10009")),
        (403, error("20012")),
        (403, error("40314")),
        (400, error("20008")),
        (403, b"<html>blocked</html>"),
        (407, b""),
    ],
)
def test_a_bad_key_or_account_is_the_upstreams_fault_and_no_message_s(status: int, body: object) -> None:
    assert kind(status, body) == (TemporarilyRefused, AtFault.UPSTREAM)


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"not found"), (404, error("10005", "Resource not found")), (405, b""), (405, error("99999"))],
)
def test_where_no_messages_are_taken_the_base_url_is_wrong(status: int, body: object) -> None:
    found = judged(status, body)
    assert (type(found.failure), found.at_fault) == (TemporarilyRefused, AtFault.ADDRESS)
    assert found.failure.error.detail.startswith(f"The upstream answered with status {status}")
    assert "base URL is wrong" in found.failure.error.detail


@pytest.mark.parametrize("code", ["10011", "40318", "99999"])
def test_too_many_is_a_matter_of_pace(code: str) -> None:
    assert kind(429, error(code)) == (Throttled, AtFault.PACE)


@pytest.mark.parametrize("body", [b"", b"<html>", {}])
def test_too_many_needs_no_readable_body(body: object) -> None:
    assert kind(429, body) == (Throttled, AtFault.PACE)


def test_a_spend_limit_concerns_its_own_messages() -> None:
    assert kind(429, error("40333")) == (TemporarilyRefused, AtFault.MESSAGE)


@pytest.mark.parametrize(
    ("headers", "rest"),
    [
        ((), None),
        ((("Retry-After", "7"),), 7 * SECOND),
        ((("retry-after", " 0.5 "),), SECOND // 2),
        ((("X-RateLimit-Reset", "3"),), 3 * SECOND),
        ((("x-ratelimit-reset", str(NOW + 60)),), MINUTE),
        ((("x-ratelimit-reset", str(NOW - 60)),), 0),
        ((("Retry-After", "2"), ("x-ratelimit-reset", "9")), 2 * SECOND),
        ((("Retry-After", "soon"), ("x-ratelimit-reset", "9")), 9 * SECOND),
        ((("Retry-After", "-1"),), None),
        ((("Retry-After", "1e9"),), None),
        ((("Retry-After", "٣"),), None),
        ((("Retry-After", "9" * 400),), None),
    ],
)
def test_a_rest_is_read_from_either_header(headers: tuple[tuple[str, str], ...], rest: int | None) -> None:
    assert judged(429, b"", *headers).rest == rest


def test_a_stop_block_refuses_with_its_own_code() -> None:
    failure = judged(409, error("40300")).failure
    assert (type(failure), failure.error.code, failure.error.title) == (
        Refused,
        "40300",
        "Blocked due to STOP message",
    )


@pytest.mark.parametrize("body", [error("10036"), error("10012"), b"", error("77777")])
def test_every_other_conflict_may_come_from_an_earlier_try(body: object) -> None:
    assert judged(409, body).failure.__class__ is OutcomeUnknown


def test_a_request_in_progress_is_unknown_whatever_its_status() -> None:
    assert kind(400, error("10036")) == (OutcomeUnknown, AtFault.MESSAGE)


@pytest.mark.parametrize(("code", "status"), [("40312", 403), ("40312", 400), ("10017", 422), ("40320", 400)])
def test_what_may_pass_is_refused_for_now(code: str, status: int) -> None:
    assert kind(status, error(code)) == (TemporarilyRefused, AtFault.MESSAGE)


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422, 451])
@pytest.mark.parametrize(
    ("code", "becomes"),
    [
        ("40001", "40001"),
        ("40010", "40010"),
        ("40099", "40099"),
        ("40300", "40300"),
        ("40310", "40012"),
        ("40305", "40013"),
        ("40301", "40001"),
        ("40319", "40001"),
        ("40302", "40009"),
        ("40304", "40009"),
        ("40316", "40009"),
        ("40317", "40009"),
        ("40322", "40009"),
        ("10015", "40008"),
        ("99999", "40008"),
    ],
)
def test_a_refusal_has_a_delivery_code_and_quotes_the_upstream(status: int, code: str, becomes: str) -> None:
    failure = judged(status, error(code, "Their title", "Their detail.")).failure
    assert (type(failure), failure.error.code) == (Refused, becomes)
    assert failure.error.detail == f"The upstream refused it ({status}): {code} Their title: Their detail."


def test_every_code_of_the_table_is_one_of_a_request_and_becomes_one_of_a_delivery() -> None:
    assert {code[:3] for code in DELIVERY_CODES} <= {"100", "403"}
    assert {code[:3] for code in DELIVERY_CODES.values()} == {"400"}


@pytest.mark.parametrize("status", [400, 413, 415, 418, 422, 431])
@pytest.mark.parametrize("body", [b"", b"<html>", {}, {"errors": []}, {"errors": ["no"]}, {"errors": [{}]}, []])
def test_a_refusal_that_cannot_be_read_is_unknown(status: int, body: object) -> None:
    assert kind(status, body) == (OutcomeUnknown, AtFault.UPSTREAM)


def test_a_bare_error_object_is_read_too() -> None:
    assert judged(400, {"code": "40310", "title": "Invalid 'to' address"}).failure.error.code == "40012"


def test_a_code_may_be_a_number() -> None:
    assert [each.code for each in errors_in(json.dumps(error(40310)).encode())] == ["40310"]


def test_words_that_are_none_are_left_out_and_others_made_fit_to_keep() -> None:
    (found,) = errors_in(json.dumps(error("40310", None, "a\0b\n" + "x" * 1000)).encode())
    assert (found.title, found.detail[:4], len(found.detail)) == ("", "a b ", QUOTED)


def test_a_known_code_has_its_own_title_and_an_unknown_one_the_upstreams() -> None:
    known = delivery_error_of(UpstreamError("40008", "Theirs", ""), "It says")
    other = delivery_error_of(UpstreamError("40077", "Theirs", "Why."), "It says")
    assert (known.title, known.detail) == ("Undeliverable", "It says: 40008 Theirs")
    assert (other.title, other.detail) == ("Theirs", "It says: 40077 Theirs: Why.")


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b""), (402, b""), (403, error("20013")), (301, b""), (408, b""), (429, b""), (500, b""), (503, b"")],
)
def test_a_probe_fails_where_no_message_would_pass(status: int, body: object) -> None:
    assert forbidden(said(status, body)) is not None


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405, 422, 501])
def test_a_probe_that_is_not_understood_has_still_found_somebody(status: int) -> None:
    assert forbidden(said(status)) is None
