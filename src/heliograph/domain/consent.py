"""Who agreed to be written to: keywords, what is answered to them, and the organisation's own settings of both.

    text of an inbound message -> form -> default word, or keyword of a setting -> operation and reply

A default word means what it means, whatever is set: a setting adds words and gives replies, and takes nothing away
(Contract 7.1, 7.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from re import compile as regex
from unicodedata import category, normalize

import msgspec
import phonenumbers

from heliograph.domain.accounts import ANYWHERE
from heliograph.domain.address import AddressKind
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.inbound import Operation
from heliograph.domain.instant import Instant
from heliograph.domain.text import MAX_PARTS, NothingLeft, RequestedEncoding, encode

DEFAULT_KEYWORDS: Mapping[Operation, tuple[str, ...]] = {
    Operation.STOP: ("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"),
    Operation.START: ("START", "UNSTOP"),
    Operation.HELP: ("HELP",),
}
"""Contract 7.1; in force on every number, whatever is set."""
SHORT_CODE_KEYWORDS: Mapping[Operation, tuple[str, ...]] = {Operation.HELP: ("INFO",)}
"""In force on short codes besides (Contract 7.1); on other numbers a setting may give them to that very operation."""

DEFAULT_REPLIES: Mapping[Operation, str] = {
    Operation.STOP: "You are unsubscribed and will get no more messages. Reply START to subscribe again.",
    Operation.START: "You are subscribed again. Reply HELP for help, or STOP to unsubscribe.",
    Operation.HELP: "Reply STOP to unsubscribe, or START to subscribe again. Message and data rates may apply.",
}
"""Our own words: the provider tells what is in its replies, and guarantees no text (Contract 7.2). One part each."""

MAX_KEYWORDS = 20
MAX_KEYWORD = 160
"""Characters of a keyword: it is a whole message, and a person types it."""
MIN_REPLY = 20
"""Characters of a reply (Contract 7.4)."""
_ECHO = 32

_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
# A Turkish or Azerbaijani keyboard makes QUIT of "quit" with a dot, and folding case would keep that apart.
_LETTERS_I = str.maketrans({"\u0130": "i", "\u0131": "i"})


# Those of European scripts only: in others such marks are vowels or make another consonant.
_ACCENTS = regex("[\u0300-\u036f]")


class AutoresponseOp(StrEnum):
    """What the keywords of a setting do: `op` on the wire (Contract 7.4)."""

    START = "start"
    STOP = "stop"
    INFO = "info"

    @property
    def operation(self) -> Operation:
        """The same in the words of inbound messages."""
        return _OPERATIONS[self]


_OPERATIONS = {
    AutoresponseOp.START: Operation.START,
    AutoresponseOp.STOP: Operation.STOP,
    AutoresponseOp.INFO: Operation.HELP,
}
# Contract 13 #12: the page has `help` where the specification has `info`.
_OPS = {each.value: each for each in AutoresponseOp} | {"help": AutoresponseOp.INFO}


class AutoresponseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller sets: these keywords, from this country, do this and are answered so."""

    op: AutoresponseOp
    keywords: tuple[str, ...]
    """As the caller spells them, without white space around."""
    country_code: str
    """ISO 3166 alpha-2, or `ANYWHERE`."""
    resp_text: str | None
    """None: the default reply."""


class Autoresponse(AutoresponseSettings, frozen=True, kw_only=True):
    """Such settings as they are kept, on one profile."""

    id: str
    organization_id: OrganizationId
    profile_id: ProfileId
    created_at: Instant
    updated_at: Instant


class OptOut(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who does not want to be written to."""

    id: str
    organization_id: OrganizationId
    profile_id: ProfileId
    sender: str
    """Our number that the person wrote to."""
    recipient: str
    """The person."""
    keyword: str | None
    created_at: Instant
    ended_at: Instant | None = None
    """When they opted in again; None while it holds."""


class Heard(msgspec.Struct, frozen=True):
    """What a message asks for."""

    operation: Operation
    keyword: str
    """The keyword that the whole message is: a default word in its one spelling, another as its setting spells it."""
    reply: str


def read(text: str | None, kind: AddressKind, country: str | None, configs: Iterable[Autoresponse]) -> Heard | None:
    """What a message asks for that came to our number of this `kind` on the profile of `configs`; mostly None.

    `country` is that of the person who wrote, None where no country owns their address. Contract 7.4 says "of the
    sender's number", and the provider's page names the purpose: replies in the language of the country that an inbound
    message comes from.

    A setting answers the words it lists, for its country or for `ANYWHERE`. Of several the country's wins over
    `ANYWHERE`, then the last changed. A default word that none lists has the default reply.
    """
    wanted = _form(text or "")
    standard = _standard(wanted, kind)
    listing = [(each, keyword) for each in configs if (keyword := _listed(each, wanted, country)) is not None]
    if standard is not None:
        operation, word = standard
        listing = [(each, word) for each, _ in listing if each.op.operation is operation]
        if not listing:
            return Heard(operation, word, DEFAULT_REPLIES[operation])
    if not listing:
        return None
    config, keyword = max(listing, key=_precedence)
    operation = config.op.operation
    return Heard(operation, keyword, config.resp_text or DEFAULT_REPLIES[operation])


def _listed(config: Autoresponse, wanted: str, country: str | None) -> str | None:
    """The keyword of a setting that the message is; None when there is none, or it is not for that country."""
    if config.country_code not in {country, ANYWHERE}:
        return None
    return next((keyword for keyword in config.keywords if _form_of_keyword(keyword) == wanted), None)


def _precedence(listing: tuple[Autoresponse, str]) -> tuple[bool, Instant, str]:
    config, _ = listing
    return config.country_code != ANYWHERE, config.updated_at, config.id


def check_settings(
    op: str | None, keywords: Sequence[str] | None, country_code: str | None, resp_text: str | None
) -> AutoresponseSettings:
    """Settings as a caller gives them (Contract 7.4); an empty `resp_text` is none.

    Raises a `Refusal` with the pointer of the first that is wrong. Keywords that no message can tell apart are one.
    """
    read_op = _check_op(op)
    return AutoresponseSettings(
        op=read_op,
        keywords=_check_keywords(keywords, read_op),
        country_code=_check_country(country_code),
        resp_text=_check_reply(resp_text) if resp_text else None,
    )


def check_meaning(wanted: AutoresponseSettings, others: Iterable[Autoresponse]) -> None:
    """Raise a `Refusal` when a keyword has another meaning already for somebody who writes from the same country.

    Otherwise the setting changed last would take the word away, and a STOP could be heard as something else.
    """
    forms = {_form_of_keyword(keyword): index for index, keyword in enumerate(wanted.keywords)}
    for other in others:
        same_people = other.country_code == wanted.country_code or ANYWHERE in {other.country_code, wanted.country_code}
        if other.op is wanted.op or not same_people:
            continue
        for keyword in other.keywords:
            if (index := forms.get(_form_of_keyword(keyword))) is not None:
                detail = f"'{keyword}' means {other.op} in auto-response {other.id}: a word has one meaning."
                raise Refusal(Code.DUPLICATE_RESOURCE, detail, f"/keywords/{index}")


def is_country(code: str) -> bool:
    """Whether settings may be for this country: one that has telephone numbers, in capitals, or `ANYWHERE`."""
    return code == ANYWHERE or code in phonenumbers.SUPPORTED_REGIONS


def _missing(name: str) -> Refusal:
    return Refusal(Code.MISSING_PARAMETER, f"The '{name}' parameter is required and cannot be blank.", f"/{name}")


def _check_op(op: str | None) -> AutoresponseOp:
    if not op:
        raise _missing("op")
    if op not in _OPS:
        raise Refusal(Code.INVALID_ENUM, f"'op' must be start, stop or info, got '{op[:_ECHO]}'.", "/op")
    return _OPS[op]


def _check_keywords(keywords: Sequence[str] | None, op: AutoresponseOp) -> tuple[str, ...]:
    if not keywords:
        raise _missing("keywords")
    distinct: dict[str, str] = {}
    for index, keyword in enumerate(keywords):
        _check_keyword(keyword, op, f"/keywords/{index}")
        distinct.setdefault(_form(keyword), keyword.strip())
    if len(distinct) > MAX_KEYWORDS:
        detail = f"'keywords' has 1 to {MAX_KEYWORDS} keywords, got {len(distinct)}."
        raise Refusal(Code.OUT_OF_RANGE, detail, "/keywords")
    return tuple(distinct.values())


def _check_keyword(keyword: str, op: AutoresponseOp, pointer: str) -> None:
    if "\0" in keyword:
        raise Refusal(Code.BAD_REQUEST, "A keyword cannot hold the character U+0000.", pointer)
    if len(keyword) > MAX_KEYWORD:
        detail = f"A keyword has 1 to {MAX_KEYWORD} characters, got {len(keyword)}."
        raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, pointer)
    form = _form(keyword)
    if not form:
        raise Refusal(Code.BAD_REQUEST, "A keyword cannot be blank.", pointer)
    operation, word = _RESERVED.get(form, (op.operation, ""))
    if operation is not op.operation:
        detail = f"'{word}' is reserved for {operation.lower()}; op '{op}' cannot have it."
        raise Refusal(Code.BAD_REQUEST, detail, pointer)


def _check_country(code: str | None) -> str:
    if not code:
        raise _missing("country_code")
    if not is_country(code):
        detail = f"'country_code' is a country such as 'US', or '*'; got '{code[:_ECHO]}'."
        raise Refusal(Code.BAD_REQUEST, detail, "/country_code")
    return code


def _check_reply(text: str) -> str:
    pointer = "/resp_text"
    if "\0" in text:
        raise Refusal(Code.BAD_REQUEST, "The character U+0000 cannot be sent.", pointer)
    length = len(text.strip())
    if length < MIN_REPLY:
        detail = f"'resp_text' has {MIN_REPLY} characters or more besides white space around it, got {length}."
        raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, pointer)
    try:
        # A profile may turn smart encoding on and off later, and either form has to be sendable.
        parts = max(encode(text, RequestedEncoding.AUTO, smart).parts for smart in (False, True))
    except NothingLeft:
        raise Refusal(Code.BAD_REQUEST, "Nothing of 'resp_text' can be seen.", pointer) from None
    if parts > MAX_PARTS:
        detail = f"'resp_text' needs {parts} parts; the limit is {MAX_PARTS}."
        raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, pointer)
    return text


def _standard(form: str, kind: AddressKind) -> tuple[Operation, str] | None:
    """The default word of this form that is in force on a number of this kind."""
    found = _SHORT_CODE.get(form) if kind is AddressKind.SHORT_CODE else None
    return found or _EVERYWHERE.get(form)


def _form(text: str) -> str:
    """What two texts have in common when they are the same keyword.

    Letter case and white space around make no difference (Contract 7.1). Neither do accents, which people leave out,
    nor what the person who wrote cannot see: the width of letters, a run of spaces or one that does not break,
    characters without a shape. A full stop can be seen, and counts.
    """
    # Folding can undo the normal form: Unicode's NFKC_Casefold has the same two rounds.
    folded = normalize("NFKC", normalize("NFKC", text).translate(_LETTERS_I).casefold())
    folded = normalize("NFC", _ACCENTS.sub("", normalize("NFD", folded)))
    return " ".join("".join(each for each in folded if each.isspace() or _is_seen(each)).split())


def _is_seen(character: str) -> bool:
    return category(character) not in {"Cf", "Cc"} and character not in _VARIATION_SELECTORS


_form_of_keyword = lru_cache(maxsize=65_536)(_form)


def _by_form(words: Mapping[Operation, tuple[str, ...]]) -> dict[str, tuple[Operation, str]]:
    return {_form(word): (operation, word) for operation, of_it in words.items() for word in of_it}


_EVERYWHERE = _by_form(DEFAULT_KEYWORDS)
_SHORT_CODE = _by_form(SHORT_CODE_KEYWORDS)
_RESERVED = _EVERYWHERE | _SHORT_CODE
