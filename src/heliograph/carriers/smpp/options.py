"""How one SMPP carrier is reached, what it is told, and the bounds of it. Times are in microseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum
from pathlib import Path

from heliograph.carriers.smpp.addressing import Addressing
from heliograph.carriers.smpp.encoding import Alphabet, data_coding_of
from heliograph.carriers.smpp.parts import Manner
from heliograph.carriers.smpp.pdu import SubmitSm, encode_body
from heliograph.carriers.smpp.receipts import COMMON_REASONS, Reason
from heliograph.carriers.smpp.session import Mode, Options
from heliograph.domain.instant import MINUTE, SECOND


class Binds(StrEnum):
    """What a carrier is bound with."""

    TRANSCEIVER = "transceiver"
    PAIR = "pair"
    """A transmitter and a receiver, for carriers that want them apart."""
    TRANSMITTER = "transmitter"
    """Nothing comes back: no receipt and no message."""
    RECEIVER = "receiver"
    """Nothing is sent: for a number whose messages come in here and go out elsewhere."""


class Validity(StrEnum):
    """How a carrier is told until when a message is worth delivering (SMPP 3.4, 7.1.1)."""

    NONE = "none"
    """It decides."""
    RELATIVE = "relative"
    """In so much time: no clock has to agree with another."""
    ABSOLUTE = "absolute"
    """Until a moment, in UTC."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to a carrier. The files are read at every connection, so that a renewed certificate is used."""

    ca_file: Path | None = None
    """Who may sign the carrier's certificate; those that the system trusts where it is None."""
    server_name: str | None = None
    """The name in the carrier's certificate, where it is not the host that is connected to."""
    check_hostname: bool = True
    """Whether the certificate must be for that name. It must be signed by somebody trusted in any case."""
    certificate: Path | None = None
    """Ours, with its chain, for a carrier that asks who we are."""
    key: Path | None = None
    """Its private key, where that is in a file of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmppOptions:
    """One carrier. Raises `ValueError` that names what cannot be."""

    name: str
    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    tls: Tls | None = None
    mode: Binds = Binds.TRANSCEIVER
    binds: int = 1
    """How many transceivers, or pairs."""

    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""

    window: int = 10
    """Submits that may be unanswered at once on each bind."""
    part_interval: int = 0
    """Between two parts of one message, as the carrier's throughput wants it; 0 is without bound."""
    inbox_limit: int = 1_000
    """Deliveries that may wait to be kept on each bind before reading stops."""
    connect_timeout: int = 10 * SECOND
    bind_timeout: int = 30 * SECOND
    response_timeout: int = 30 * SECOND
    enquire_interval: int = 30 * SECOND
    unbind_timeout: int = MINUTE
    rebind_base: int = SECOND
    """Before the first try to bind again; it doubles with each, up to `rebind_max`."""
    rebind_max: int = MINUTE
    refused_base: int = 10 * SECOND
    """The same after a bind that was refused: some carriers lock out those who come again too soon."""
    refused_max: int = 5 * MINUTE
    throttle_base: int = SECOND
    """How long nothing is sent once the carrier says that it is too much; it doubles, up to `throttle_max`."""
    throttle_max: int = MINUTE

    manner: Manner = field(default_factory=Manner)
    addressing: Addressing = field(default_factory=Addressing)
    service_type: str = ""
    registered_delivery: int = 0x01
    """Which receipts are asked for (SMPP 3.4, 5.2.17): 1 is of what becomes of a message in the end."""
    receipts: bool = True
    """Whether receipts come back from it at all."""
    validity: Validity = Validity.RELATIVE
    more_messages: bool = True
    """Say of each part of a long message whether more follow (SMPP 3.4, 5.3.2.34)."""
    message_reference: bool = False
    """Give each part a number of ours (SMPP 3.4, 5.3.2.17)."""

    repeatable: bool = False
    """The carrier recognises a message that it is given twice."""
    query: bool = False
    """It may be asked what became of a message."""
    zone: tzinfo = UTC
    """Of the dates in its receipts."""
    reasons: Mapping[int, Reason] = field(default_factory=lambda: COMMON_REASONS)
    """What its error numbers mean."""
    reassembly_timeout: int = 30 * MINUTE
    """How long parts of a message wait for the next one. A handset that was away may be slow; Kannel waits as long."""

    def __post_init__(self) -> None:
        for name in ("binds", "connect_timeout", *_WAITS, "reassembly_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0")
        if not self.name or not self.host:
            raise ValueError("name and host must not be empty")
        if not 1 <= self.port <= 0xFFFF:
            raise ValueError(f"port is {self.port}; it must be 1 to 65535")
        for mode in self.modes:
            self.session(mode)
        for alphabet in (self.manner.gsm7, Alphabet.UCS2):
            data_coding_of(alphabet, self.manner.meanings)
        encode_body(SubmitSm(service_type=self.service_type, registered_delivery=self.registered_delivery))

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The binds that belong together; there are `binds` of each."""
        return _MODES[self.mode]

    @property
    def awaits_receipts(self) -> bool:
        """Whether a receipt is due for every message: not where none is asked for, or only of failures."""
        return self.receipts and self.registered_delivery & 0x03 == 0x01

    def session(self, mode: Mode) -> Options:
        """How one bind is made."""
        return Options(
            system_id=self.system_id,
            password=self.password,
            mode=mode,
            system_type=self.system_type,
            interface_version=self.interface_version,
            addr_ton=self.addr_ton,
            addr_npi=self.addr_npi,
            address_range=self.address_range,
            window=self.window,
            inbox_limit=self.inbox_limit,
            bind_timeout=self.bind_timeout,
            response_timeout=self.response_timeout,
            enquire_interval=self.enquire_interval,
            unbind_timeout=self.unbind_timeout,
        )


_MODES: Mapping[Binds, tuple[Mode, ...]] = {
    Binds.TRANSCEIVER: (Mode.TRANSCEIVER,),
    Binds.PAIR: (Mode.TRANSMITTER, Mode.RECEIVER),
    Binds.TRANSMITTER: (Mode.TRANSMITTER,),
    Binds.RECEIVER: (Mode.RECEIVER,),
}
_WAITS = ("rebind_base", "rebind_max", "refused_base", "refused_max", "throttle_base", "throttle_max")
