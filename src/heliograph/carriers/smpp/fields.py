"""The pieces that SMPP bodies are made of, each with its length checked on the way out and on the way in.

Sections (S.) are those of the SMPP Protocol Specification v3.4, issue 1.2.
"""

from collections.abc import Callable
from operator import attrgetter
from struct import Struct as Packer
from struct import error as PackingError  # noqa: N812  it is an exception, and is named as one
from typing import Protocol

from heliograph.carriers.smpp.status import Status

# Sizes of S. 4 with the NUL at the end, as it counts them.
SYSTEM_ID_SIZE = 16
PASSWORD_SIZE = 65
"""More than the 9 of S. 4.1.1: many centres hand out longer ones, and it is a C-octet string in any case."""
SPECIFIED_PASSWORD_SIZE = 9
SYSTEM_TYPE_SIZE = 13
ADDRESS_RANGE_SIZE = 41
SERVICE_TYPE_SIZE = 6
ADDRESS_SIZE = 21
LONG_ADDRESS_SIZE = 65
MESSAGE_ID_SIZE = 65
TIME_SIZE = 17
SHORT_MESSAGE_SIZE = 254


class Unencodable(ValueError):
    """A field does not fit the wire. Says which and how long it is, never what it holds: it may be a password."""


class Unreadable(Exception):
    """A body ends too early or holds what its field must not; the status is what to answer."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Field(Protocol):
    """A piece of a body; it reads and writes one attribute or several neighbours."""

    def put(self, body: object) -> bytes:
        """The bytes of it. Raises `Unencodable`."""

    def take(self, data: bytes, at: int, values: list[object]) -> int:
        """Append what is at `at`; where the next field begins. Raises `Unreadable`."""


class Text:
    """A C-octet string of at most `size` bytes, the NUL included (S. 3.1)."""

    def __init__(self, name: str, size: int, status: Status) -> None:
        self.name = name
        self.size = size
        self.status = status
        self.get: Callable[[object], str] = attrgetter(name)

    def put(self, body: object) -> bytes:
        text = self.get(body)
        try:
            encoded = text.encode("latin-1")
        except UnicodeEncodeError:
            # Its cause would hold the text.
            raise Unencodable(f"{self.name} has a character of more than one byte") from None
        if len(encoded) >= self.size:
            raise Unencodable(f"{self.name} has {len(encoded)} bytes; the most is {self.size - 1}")
        if 0 in encoded:
            raise Unencodable(f"{self.name} has a NUL within")
        return encoded + b"\0"

    def take(self, data: bytes, at: int, values: list[object]) -> int:
        end = data.find(0, at, at + self.size)
        if end < 0:
            raise Unreadable(self.status, f"{self.name} does not end within {self.size} bytes")
        values.append(data[at:end].decode("latin-1"))
        return end + 1


class Time(Text):
    """Empty, or 16 characters (S. 7.1.1)."""

    def __init__(self, name: str, status: Status) -> None:
        super().__init__(name, TIME_SIZE, status)

    def put(self, body: object) -> bytes:
        encoded = super().put(body)
        if len(encoded) not in (1, TIME_SIZE):
            raise Unencodable(f"{self.name} has {len(encoded) - 1} bytes; it has none or {TIME_SIZE - 1}")
        return encoded

    def take(self, data: bytes, at: int, values: list[object]) -> int:
        end = super().take(data, at, values)
        if end - at not in (1, TIME_SIZE):
            raise Unreadable(self.status, f"{self.name} has {end - at - 1} bytes; it has none or {TIME_SIZE - 1}")
        return end


class Bytes:
    """Integers of one byte, side by side: two or more."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.packer = Packer("B" * len(names))
        self.get: Callable[[object], tuple[int, ...]] = attrgetter(*names)  # of one name it would give no tuple

    def put(self, body: object) -> bytes:
        try:
            return self.packer.pack(*self.get(body))
        except PackingError as error:
            raise Unencodable(f"one of {', '.join(self.names)} is not 0 to 255") from error

    def take(self, data: bytes, at: int, values: list[object]) -> int:
        end = at + self.packer.size
        if end > len(data):
            raise Unreadable(Status.RINVCMDLEN, f"the body ends before {self.names[-1]}")
        values.extend(self.packer.unpack_from(data, at))
        return end


class Counted:
    """sm_length and short_message (S. 5.2.21, S. 5.2.22)."""

    def put(self, body: object) -> bytes:
        text: bytes = body.short_message  # type: ignore[attr-defined]  # only bodies that have one get this field
        if len(text) > SHORT_MESSAGE_SIZE:
            raise Unencodable(f"short_message has {len(text)} bytes; the most is {SHORT_MESSAGE_SIZE}")
        return bytes((len(text),)) + text

    def take(self, data: bytes, at: int, values: list[object]) -> int:
        if at >= len(data):
            raise Unreadable(Status.RINVCMDLEN, "the body ends before sm_length")
        end = at + 1 + data[at]
        if data[at] > SHORT_MESSAGE_SIZE or end > len(data):
            raise Unreadable(Status.RINVMSGLEN, f"sm_length is {data[at]}, and {len(data) - at - 1} bytes follow")
        values.append(data[at + 1 : end])
        return end
