"""What is set for each carrier: a table `[carriers.NAME]` of one of these kinds.

What a setting means to the carrier stands with the options of the carrier (`carriers/smpp`, `carriers/upstream.py`).
Files are named here, and opened by the server.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from heliograph.carriers.smpp.encoding import Alphabet, NoDataCoding, data_coding_of
from heliograph.carriers.smpp.fields import (
    ADDRESS_RANGE_SIZE,
    PASSWORD_SIZE,
    SERVICE_TYPE_SIZE,
    SYSTEM_ID_SIZE,
    SYSTEM_TYPE_SIZE,
)
from heliograph.carriers.smpp.parts import LongMessages
from heliograph.domain.instant import MICROSECOND, MILLISECOND, MINUTE, SECOND
from heliograph.domain.routes import is_country
from heliograph.setting_kinds import (
    Kind,
    Unfit,
    choice,
    duration,
    flag,
    http_url,
    listed,
    optional,
    quoted,
    rate,
    secret,
    text,
    time_zone,
    whole,
)
from heliograph.setting_sections import Conflict, Given, Rule, Section, required, setting, variable

Mode = Literal["transceiver", "transmitter_receiver", "transmitter", "receiver"]
Validity = Literal["relative", "absolute", "none"]
Codings: TypeAlias = tuple[tuple[int, Alphabet], ...]
"""Values of `data_coding` and their alphabets; a `dict` of it is what `encoding` calls meanings."""

GSM7_ALPHABETS = (Alphabet.GSM7, Alphabet.GSM7_PACKED, Alphabet.ASCII, Alphabet.LATIN1)
SANDBOX = "sandbox"
"""The name of the simulated carrier."""
NAME = text(f'1 to 32 of a-z, 0-9, "_" and "-", and not "{SANDBOX}"', rf"(?!{SANDBOX}\Z)[a-z0-9_-]{{1,32}}")

_VERSIONS = {"3.3": 0x33, "3.4": 0x34, "5.0": 0x50}
_CODING = re.compile(r"0x[0-9A-Fa-f]{1,2}|\d{1,3}", re.ASCII)
_KEY_BYTES = 32


def _octets(size: int, at_least: int = 0) -> tuple[str, str]:
    """In words and as a pattern: a C-octet string of SMPP, whose size counts the NUL at its end (SMPP 3.4, 3.1)."""
    return f"{at_least} to {size - 1} characters of Latin-1", rf"[\x01-\xff]{{{at_least},{size - 1}}}"


def _version() -> Kind[int]:
    def read(raw: object) -> int:
        value = _VERSIONS.get(str(raw)) if isinstance(raw, str | float) else raw
        if isinstance(value, bool) or value not in _VERSIONS.values():
            raise Unfit
        return int(str(value))

    def show(value: int) -> str:
        return next(word for word, version in _VERSIONS.items() if version == value)

    return Kind('one of "3.3", "3.4", "5.0"', read, show)


def _data_codings() -> Kind[Codings]:
    def show(value: Codings) -> str:
        return ",".join(f"{coding}={alphabet}" for coding, alphabet in value)

    words = ", ".join(Alphabet)
    wanted = f'a table such as {{ 0 = "latin1" }}, or text such as "0=latin1,8=ucs2": 0 to 255, and {words}'
    return Kind(wanted, _read_codings, show, lambda raw: quoted(str(raw) if isinstance(raw, dict) else raw))


def _read_codings(raw: object) -> Codings:
    if isinstance(raw, str):
        pairs = [each.partition("=")[::2] for each in raw.split(",") if each.strip()]
    elif isinstance(raw, dict):
        pairs = list(raw.items())
    else:
        raise Unfit
    read = tuple((_coding(coding), _alphabet(alphabet)) for coding, alphabet in pairs)
    if len(dict(read)) != len(read):
        raise Unfit
    return read


def _coding(raw: str) -> int:
    if _CODING.fullmatch(raw.strip()) is None:
        raise Unfit
    value = int(raw, 16 if "x" in raw else 10)
    if value > 0xFF:
        raise Unfit
    return value


def _alphabet(raw: object) -> Alphabet:
    try:
        return Alphabet(raw.strip() if isinstance(raw, str) else "")
    except ValueError:
        raise Unfit from None


def _country() -> Kind[str]:
    def read(raw: object) -> str:
        if not isinstance(raw, str) or not is_country(raw):
            raise Unfit
        return raw

    return Kind('a country (ISO 3166, such as "GB")', read)


def _public_key() -> Kind[str]:
    def read(raw: object) -> str:
        try:
            key = b64decode(raw.strip(), validate=True) if isinstance(raw, str) else b""
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Unfit
        return str(raw).strip()

    return Kind("32 bytes in base64", read)


def _number_type(meaning: str) -> int | None:
    return setting(None, optional(whole(0, 255), "auto"), f"Type of number of {meaning} (SMPP 3.4, 5.2.5).")


def _plan(meaning: str) -> int | None:
    return setting(None, optional(whole(0, 255), "auto"), f"Numbering plan of {meaning} (SMPP 3.4, 5.2.6).")


def _unconfirmed_after() -> int | None:
    meaning = "How long a delivery receipt is awaited; empty: `dispatch.unconfirmed_after`."
    return setting(None, optional(duration(MICROSECOND)), meaning)


def _settle_after() -> int:
    meaning = "How long what is in doubt waits for a late answer or a receipt, before it is given up as unknown."
    return setting(10 * MINUTE, duration(), meaning)


def _repeat_safe(what: str) -> bool:
    return setting(False, flag(), f"Whether it recognises {what}, and sends it once.")


class CarrierSection(Section):
    """What carriers of every kind have."""

    __slots__ = ()
    kind: ClassVar[str]

    @property
    def sends(self) -> bool:
        """Whether messages can be given to it."""
        return True

    @property
    def carries_mms(self) -> bool:
        """Whether it can be given an MMS."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SmppSettings(CarrierSection):
    """A carrier that is reached over SMPP 3.4."""

    kind: ClassVar[str] = "smpp"
    rules = (
        Rule("response_timeout", "less than", "dispatch.lease"),
        Rule("rebind_max", "at least", "rebind_base"),
        Rule("throttle_max", "at least", "throttle_base"),
    )

    host: str = required(text("a host name or an address", r"\S+"), "Where the carrier listens.")
    port: int = setting(2775, whole(1, 65_535), "Its port.")
    system_id: str = required(text(*_octets(SYSTEM_ID_SIZE, 1)), "Our name with it.")
    password: str = setting("", secret(*_octets(PASSWORD_SIZE)), "Our password with it.")
    system_type: str = setting("", text(*_octets(SYSTEM_TYPE_SIZE)), "As the carrier says.")
    interface_version: int = setting(0x34, _version(), "Version of SMPP that is told to it.")
    mode: Mode = setting("transceiver", choice(get_args(Mode)), "What is bound; the second is one of each.")
    binds: int = setting(1, whole(1, 50), "How many of it, in each process.")
    window: int = setting(10, whole(1, 10_000), "Submits of each bind that may be unanswered.")
    throughput: int = setting(0, rate(), "Submits a second of all processes together; each part is one.")

    bind_timeout: int = setting(10 * SECOND, duration(MILLISECOND), "How long the answer to a bind may take.")
    response_timeout: int = setting(
        10 * SECOND, duration(MILLISECOND), "How long the answer to a submit may take; then its end is unknown."
    )
    enquire_interval: int = setting(
        30 * SECOND, duration(MILLISECOND), "Silence after which the carrier is asked whether it is there."
    )
    rebind_base: int = setting(SECOND, duration(MICROSECOND), "Wait before a first try to bind again; it then doubles.")
    rebind_max: int = setting(MINUTE, duration(MICROSECOND), "Longest wait before a try to bind again.")
    throttle_base: int = setting(SECOND, duration(MICROSECOND), "Rest after a first throttling; it then doubles.")
    throttle_max: int = setting(MINUTE, duration(MICROSECOND), "Longest rest after throttling.")

    long_messages: LongMessages = setting(
        LongMessages.UDH8, choice(tuple(LongMessages)), "How a text goes that needs several parts."
    )
    gsm7: Alphabet = setting(Alphabet.GSM7, choice(GSM7_ALPHABETS), "What a text of GSM-7 is written in.")
    data_codings: Codings = setting((), _data_codings(), "What values of `data_coding` mean, where not as specified.")
    registered_delivery: bool = setting(True, flag(), "Ask for a receipt with every submit.")
    validity: Validity = setting("relative", choice(get_args(Validity)), "How it is told until when a message counts.")
    service_type: str = setting("", text(*_octets(SERVICE_TYPE_SIZE)), "As the carrier says.")
    message_reference: bool = setting(False, flag(), "Give each part a number (`user_message_reference`).")

    long_code_ton: int | None = _number_type("long codes")
    long_code_npi: int | None = _plan("long codes")
    toll_free_ton: int | None = _number_type("toll-free numbers")
    toll_free_npi: int | None = _plan("toll-free numbers")
    short_code_ton: int | None = _number_type("short codes that send")
    short_code_npi: int | None = _plan("short codes that send")
    alphanumeric_ton: int | None = _number_type("alphanumeric senders")
    alphanumeric_npi: int | None = _plan("alphanumeric senders")
    destination_ton: int | None = _number_type("recipients in E.164")
    destination_npi: int | None = _plan("recipients in E.164")
    short_destination_ton: int | None = _number_type("recipients that are short codes")
    short_destination_npi: int | None = _plan("recipients that are short codes")
    keep_plus: bool = setting(False, flag(), "Write E.164 with its plus.")
    address_range: str = setting("", text(*_octets(ADDRESS_RANGE_SIZE)), "Numbers that a bind receives for.")
    home_country: str | None = setting(
        None, optional(_country()), "Whose numbers the carrier means by those without a country code."
    )

    tls: bool = setting(False, flag(), "Connect over TLS.")
    tls_ca_file: str = setting("", text(), "Who may sign the carrier's certificate; empty: whom the system trusts.")
    tls_server_name: str = setting("", text("a host name", r"\S*"), "The name in its certificate; empty: `host`.")
    tls_check_host: bool = setting(True, flag(), "Whether the certificate must be for that name.")
    tls_cert_file: str = setting("", text(), "Our certificate, for a carrier that asks for one.")
    tls_key_file: str = setting("", text(), "Its private key; empty: in the same file.")

    receipts: bool = setting(True, flag(), "Whether receipts come back from it.")
    receipt_zone: tzinfo = setting(UTC, time_zone(), "Of the dates in receipts.")
    unconfirmed_after: int | None = _unconfirmed_after()
    settle_after: int = _settle_after()
    query: bool = setting(False, flag(), "Whether the carrier may be asked what became of a message (`query_sm`).")
    reassembly_timeout: int = setting(
        30 * MINUTE, duration(SECOND), "How long parts of an inbound message wait for the next."
    )
    repeat_safe: bool = _repeat_safe("a message that it is given twice")

    @property
    def sends(self) -> bool:
        """Not where it is bound to receive only."""
        return self.mode != "receiver"

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> Iterator[Conflict]:
        """TLS that is half set up, receipts that nobody would hear, and alphabets that cannot be told."""
        for name in ("tls_ca_file", "tls_server_name", "tls_cert_file", "tls_key_file"):
            if values[name] and not values["tls"]:
                problem = f"got {quoted(values[name])} while tls is false: nothing would be encrypted"
                yield Conflict((name, "tls"), problem)
        if values["tls_key_file"] and not values["tls_cert_file"]:
            problem = f"got {quoted(values['tls_key_file'])} without tls_cert_file"
            yield Conflict(("tls_key_file", "tls_cert_file"), problem)
        if values["mode"] == "transmitter" and values["receipts"]:
            problem = 'got true, wanted false: with mode "transmitter" nothing comes back'
            yield Conflict(("receipts", "mode"), problem)
        for alphabet in (values["gsm7"], Alphabet.UCS2):
            try:
                data_coding_of(alphabet, dict(values["data_codings"]))
            except NoDataCoding:
                problem = f'no value means "{alphabet}", which texts are written in; wanted one that does'
                yield Conflict(("data_codings", "gsm7"), problem)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UpstreamSettings(CarrierSection):
    """An HTTP service that speaks this API: the provider itself, or another Heliograph."""

    kind: ClassVar[str] = "upstream"
    rules = (Rule("timeout", "less than", "dispatch.lease"),)

    base_url: str = required(http_url(), "What `/messages` is put behind.")
    api_key: str = required(secret("an API key", r"[!-~]+"), "Our key with it.")
    public_key: tuple[str, ...] = setting(
        (),
        listed(_public_key(), "one or more public keys of 32 bytes in base64"),
        "What its webhooks are verified with: its key, or the old and the new one while it is changed.",
    )
    callback_url: str | None = setting(
        None, optional(http_url()), "Where it reaches us for webhooks; empty: `http.public_url`."
    )
    messaging_profile_id: str = setting("", text("an id of the upstream", r"[!-~]*"), "The profile we use there.")
    window: int = setting(32, whole(1, 10_000), "Messages under way to it at once, in each process.")
    timeout: int = setting(10 * SECOND, duration(MILLISECOND), "How long an answer may take; then its end is unknown.")
    throughput: int = setting(0, rate(), "Parts a second of all processes together.")
    mms: bool = setting(True, flag(), "Whether it takes MMS.")
    fetch_media: bool = setting(True, flag(), "Look at the media of an MMS before it is handed over.")
    unconfirmed_after: int | None = _unconfirmed_after()
    settle_after: int = _settle_after()
    repeat_safe: bool = _repeat_safe("a request that has the same `Idempotency-Key`")

    @property
    def carries_mms(self) -> bool:
        """As it is set."""
        return self.mms


CarrierSettings: TypeAlias = SmppSettings | UpstreamSettings
KINDS: Mapping[str, type[CarrierSettings]] = {each.kind: each for each in (SmppSettings, UpstreamSettings)}
KIND = choice(tuple(KINDS))


# ------------------------------------------------------------------------------------------------------------- reading


class Declared(NamedTuple):
    """A carrier that the file declares. Without a kind, nothing is known of its settings, and none are `given`."""

    name: str
    kind: type[CarrierSettings] | None
    given: tuple[Given, ...] = ()

    @property
    def section(self) -> str:
        """How the dotted names of its settings begin."""
        return f"carriers.{self.name}"

    @property
    def variables(self) -> str:
        """How its variables begin."""
        return variable(f"{self.section}.")


def read_declared(tables: object, source: str, problems: list[str]) -> list[Declared]:
    """The carriers of a file, in order, from its table `carriers`; what they hold is not read yet."""
    if not isinstance(tables, dict):
        problems.append(f"carriers ({source}): got {_shape(tables)}, wanted tables [carriers.NAME]")
        return []
    declared: list[Declared] = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f"carriers.{name} ({source}): got {_shape(table)}, wanted the table [carriers.{name}]")
            continue
        made = _declared(name, table, source, problems)
        for other in declared:
            if other.variables == made.variables:
                both = f"{made.variables}... in the environment"
                problems.append(f"{made.section} ({source}): rename it, as {other.section} is {both} too")
        declared.append(made)
    return declared


def _shape(raw: object) -> str:
    """What is in the place of a table. It is not shown, as it may be a password."""
    return "a list" if isinstance(raw, list) else "a single value"


def _declared(name: str, table: Mapping[str, object], source: str, problems: list[str]) -> Declared:
    section = f"carriers.{name}"
    try:
        NAME.read(name)
    except Unfit:
        problems.append(f"{section} ({source}): got the name {quoted(name)}, wanted {NAME.wanted}")
    if "kind" not in table:
        problems.append(f"{section}.kind ({source}): missing, wanted {KIND.wanted}")
        return Declared(name, None)
    try:
        kind = KINDS[KIND.read(table["kind"])]
    except Unfit:
        problems.append(f"{section}.kind ({source}): got {KIND.got(table['kind'])}, wanted {KIND.wanted}")
        return Declared(name, None)
    given = (Given(f"{section}.{each}", raw, source) for each, raw in table.items() if each != "kind")
    return Declared(name, kind, tuple(given))
