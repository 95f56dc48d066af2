"""Keywords, what is answered to them, and what an organisation may set."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.address import AddressKind
from heliograph.domain.consent import (
    DEFAULT_KEYWORDS,
    DEFAULT_REPLIES,
    MAX_KEYWORD,
    MAX_KEYWORDS,
    Autoresponse,
    AutoresponseOp,
    AutoresponseSettings,
    Heard,
    check_settings,
    read,
)
from heliograph.domain.errors import Refusal
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.inbound import Operation
from heliograph.domain.instant import Instant
from heliograph.domain.text import Encoding, RequestedEncoding, encode

WORDS = [(operation, word) for operation, words in DEFAULT_KEYWORDS.items() for word in words]
REPLY = "You will hear no more from Acme."


def config(**given: Any) -> Autoresponse:
    values: dict[str, Any] = {
        "id": "c1",
        "organization_id": OrganizationId("o1"),
        "profile_id": ProfileId("p1"),
        "op": AutoresponseOp.STOP,
        "keywords": ("STOP",),
        "country_code": "*",
        "resp_text": REPLY,
        "created_at": Instant(1),
        "updated_at": Instant(1),
    }
    return Autoresponse(**(values | given))


def hear(text: str | None, *configs: Autoresponse, country: str | None = "US", **given: AddressKind) -> Heard | None:
    return read(text, given.get("kind", AddressKind.LONG_CODE), country, configs)


def operation_of(text: str | None, **given: AddressKind) -> Operation | None:
    heard = hear(text, **given)
    return heard.operation if heard else None


def settings(**given: Any) -> AutoresponseSettings:
    values: dict[str, Any] = {"op": "stop", "keywords": ["BYE"], "country_code": "US", "resp_text": REPLY}
    return check_settings(**(values | given))


@pytest.mark.parametrize(("operation", "word"), WORDS)
def test_each_default_word_is_heard_and_answered(operation: Operation, word: str) -> None:
    assert hear(word) == Heard(operation, word, DEFAULT_REPLIES[operation])


@pytest.mark.parametrize(
    "text",
    [
        "stop",
        " stop ",
        "Stop\r\n",
        "\tsToP\u3000",
        "\u00a0stop\u00a0",
        "\u202fstop",
        "\ufeffstop",
        "st\u200bop",
        "\u200estop\u200f",
        "stop\u00ad",
        "stop\0",
        "\uff33\uff34\uff2f\uff30",
        "stop\ufe0f",
    ],
    ids=ascii,
)
def test_what_cannot_be_seen_does_not_hide_a_keyword(text: str) -> None:
    assert operation_of(text) is Operation.STOP


@pytest.mark.parametrize("text", ["stop all", "STOP  ALL", "Stop\u00a0All", "stop\nall", "stop \u200b all"], ids=ascii)
def test_a_run_of_white_space_is_one_space(text: str) -> None:
    heard = hear(text)
    assert heard is not None
    assert heard.keyword == "STOP ALL"


@pytest.mark.parametrize("text", ["arr\u00eat", "ARRET", "Arre\u0302t", "ARR\u00caT"], ids=ascii)
def test_accents_may_be_left_out_or_added(text: str) -> None:
    for keyword in ("ARRET", "arr\u00eat"):
        assert hear(text, config(keywords=(keyword,))) is not None


@pytest.mark.parametrize("text", ["QU\u0130T", "qu\u0131t", "UNSUBSCR\u0130BE"], ids=ascii)
def test_a_turkish_keyboard_is_understood(text: str) -> None:
    assert operation_of(text) is Operation.STOP


@pytest.mark.parametrize(
    "text",
    [None, "", "  ", "\u200b", "Hello", "STOP.", "STOP!", "please stop", "stop it", "S T O P", "stopp", "s\u0442op"],
    ids=ascii,
)
def test_what_is_not_wholly_a_keyword_asks_for_nothing(text: str | None) -> None:
    assert hear(text, config()) is None


def test_info_is_help_on_short_codes_only() -> None:
    assert operation_of("info", kind=AddressKind.SHORT_CODE) is Operation.HELP
    assert operation_of("info", kind=AddressKind.LONG_CODE) is None
    assert operation_of("info", kind=AddressKind.TOLL_FREE) is None


def test_default_words_are_heard_on_short_codes_too() -> None:
    assert operation_of("quit", kind=AddressKind.SHORT_CODE) is Operation.STOP


@pytest.mark.parametrize("reply", DEFAULT_REPLIES.values())
def test_a_default_reply_is_one_part_of_gsm7_and_could_have_been_set(reply: str) -> None:
    encoded = encode(reply, RequestedEncoding.AUTO, smart=False)
    assert (encoded.encoding, encoded.parts) == (Encoding.GSM7, 1)
    assert settings(resp_text=reply).resp_text == reply


def test_the_default_replies_say_what_they_have_to() -> None:
    assert "START" in DEFAULT_REPLIES[Operation.STOP]
    assert {"HELP", "STOP"} <= set(DEFAULT_REPLIES[Operation.START].replace(",", " ").split())
    assert "STOP" in DEFAULT_REPLIES[Operation.HELP]
    assert "data rates" in DEFAULT_REPLIES[Operation.HELP]


def test_a_default_reply_does_not_itself_ask_for_anything() -> None:
    assert [operation_of(reply) for reply in DEFAULT_REPLIES.values()] == [None, None, None]


def test_an_added_word_is_heard_as_it_is_spelled_and_the_defaults_stay() -> None:
    added = config(keywords=("Adiós amigos",), resp_text="Ya no recibirás mensajes.")
    assert hear("ADIÓS  AMIGOS", added) == Heard(Operation.STOP, "Adiós amigos", "Ya no recibirás mensajes.")
    assert hear("stop", added) == Heard(Operation.STOP, "STOP", DEFAULT_REPLIES[Operation.STOP])


def test_a_listed_default_word_is_answered_by_its_setting() -> None:
    assert hear("Stop", config(keywords=("stop",))) == Heard(Operation.STOP, "STOP", REPLY)


def test_a_setting_without_reply_answers_as_by_default() -> None:
    heard = hear("bye", config(keywords=("BYE",), resp_text=None))
    assert heard == Heard(Operation.STOP, "BYE", DEFAULT_REPLIES[Operation.STOP])


def test_op_info_is_help() -> None:
    heard = hear("info", config(op=AutoresponseOp.INFO, keywords=("HELP", "INFO"), resp_text="Call us at any time."))
    assert heard == Heard(Operation.HELP, "INFO", "Call us at any time.")


def test_the_country_of_the_person_wins_over_anywhere_however_old() -> None:
    home = config(id="c1", country_code="CA", resp_text="Vous ne recevrez plus rien.")
    anywhere = config(id="c2", updated_at=Instant(9))
    heard = [hear("STOP", anywhere, home, country=country) for country in ("CA", "US", None)]
    assert [each.reply for each in heard if each] == ["Vous ne recevrez plus rien.", REPLY, REPLY]


def test_the_countrys_setting_wins_even_where_it_has_no_reply() -> None:
    heard = hear("STOP", config(), config(country_code="US", resp_text=None))
    assert heard == Heard(Operation.STOP, "STOP", DEFAULT_REPLIES[Operation.STOP])


def test_a_setting_of_another_country_is_not_heard() -> None:
    abroad = config(keywords=("ARRET",), country_code="FR")
    assert hear("arret", abroad, country="US") is None
    assert hear("arret", abroad, country=None) is None


def test_of_equals_the_last_changed_counts_in_whatever_order_they_come() -> None:
    old, new = config(id="c9", resp_text="old"), config(id="c1", resp_text="new", updated_at=Instant(2))
    assert [heard.reply for heard in (hear("STOP", old, new), hear("STOP", new, old)) if heard] == ["new", "new"]


def test_a_default_word_means_what_it_means_whatever_is_kept() -> None:
    hijacked = config(op=AutoresponseOp.START, keywords=("STOP",))
    assert operation_of("stop") is Operation.STOP
    assert hear("stop", hijacked) == Heard(Operation.STOP, "STOP", DEFAULT_REPLIES[Operation.STOP])


def test_settings_are_taken_as_given_but_for_white_space_and_repeats() -> None:
    taken = settings(keywords=[" Bye ", "bye", "STOP", "BYE\u200b", "Stop"], country_code="*", resp_text=None)
    assert taken == AutoresponseSettings(
        op=AutoresponseOp.STOP, keywords=("Bye", "STOP"), country_code="*", resp_text=None
    )


@pytest.mark.parametrize(("given", "op"), [("start", "start"), ("stop", "stop"), ("info", "info"), ("help", "info")])
def test_help_is_another_name_of_info(given: str, op: str) -> None:
    assert settings(op=given).op == op


def test_an_empty_reply_is_none() -> None:
    assert settings(resp_text="").resp_text is None


def test_limits_are_reached_without_harm() -> None:
    words = [f"word {number}" for number in range(MAX_KEYWORDS - 1)] + ["x" * MAX_KEYWORD]
    assert len(settings(keywords=words).keywords) == MAX_KEYWORDS
    assert settings(resp_text="x" * 1530).resp_text is not None
    assert settings(resp_text="x" * 20).resp_text is not None


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"op": None}, "10004", "/op"),
        ({"op": ""}, "10004", "/op"),
        ({"op": "block"}, "10032", "/op"),
        ({"op": "STOP"}, "10032", "/op"),
        ({"keywords": None}, "10004", "/keywords"),
        ({"keywords": []}, "10004", "/keywords"),
        ({"keywords": [str(number) for number in range(MAX_KEYWORDS + 1)]}, "10033", "/keywords"),
        ({"keywords": ["BYE", ""]}, "10015", "/keywords/1"),
        ({"keywords": ["BYE", " \u00a0\u200b"]}, "10015", "/keywords/1"),
        ({"keywords": ["B\0YE"]}, "10015", "/keywords/0"),
        ({"keywords": ["x" * (MAX_KEYWORD + 1)]}, "10025", "/keywords/0"),
        ({"country_code": None}, "10004", "/country_code"),
        ({"country_code": ""}, "10004", "/country_code"),
        ({"country_code": "us"}, "10015", "/country_code"),
        ({"country_code": "ZZ"}, "10015", "/country_code"),
        ({"country_code": "001"}, "10015", "/country_code"),
        ({"country_code": "U\0"}, "10015", "/country_code"),
        ({"resp_text": "x" * 19}, "10025", "/resp_text"),
        ({"resp_text": "x" + " " * 30}, "10025", "/resp_text"),
        ({"resp_text": "x" * 30 + "\0"}, "10015", "/resp_text"),
        ({"resp_text": "x" * 1531}, "10025", "/resp_text"),
        ({"resp_text": "\u20ac" * 766}, "10025", "/resp_text"),
        ({"resp_text": "\u2026" * 670}, "10025", "/resp_text"),
        ({"resp_text": "\u200b" * 20}, "10015", "/resp_text"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_bad_settings_are_refused_by_their_place(given: dict[str, Any], code: str, pointer: str) -> None:
    with pytest.raises(Refusal) as caught:
        settings(**given)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)


@pytest.mark.parametrize(("operation", "word"), [*WORDS, (Operation.HELP, "INFO")])
def test_a_default_word_of_one_op_is_refused_to_every_other(operation: Operation, word: str) -> None:
    for op in AutoresponseOp:
        if op.operation is operation:
            assert settings(op=op.value, keywords=[word.lower()]).keywords == (word.lower(),)
        else:
            with pytest.raises(Refusal) as caught:
                settings(op=op.value, keywords=["YES", f" {word.title()}\u200b "])
            assert (caught.value.code, caught.value.pointer) == ("10015", "/keywords/1")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(texts, st.sampled_from(list(AutoresponseOp)))
def test_whatever_may_be_set_as_a_keyword_is_heard_as_its_op(keyword: str, op: AutoresponseOp) -> None:
    try:
        taken = settings(op=op.value, keywords=[keyword])
    except Refusal:
        return
    heard = hear(keyword, config(op=taken.op, keywords=taken.keywords))
    assert heard is not None
    assert heard.operation is op.operation


@given(texts, st.sampled_from(WORDS), st.sampled_from(list(AutoresponseOp)))
def test_no_setting_that_is_taken_changes_a_default_word(
    keyword: str, default: tuple[Operation, str], op: AutoresponseOp
) -> None:
    operation, word = default
    try:
        taken = settings(op=op.value, keywords=[keyword])
    except Refusal:
        return
    heard = hear(word, config(op=taken.op, keywords=taken.keywords))
    assert heard is not None
    assert heard.operation is operation
