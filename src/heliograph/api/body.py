"""A request's body: read within bounds, decoded into its type, every way it can be wrong told apart."""

from re import DOTALL
from re import compile as regex
from typing import Generic, TypeVar

import msgspec
from starlette.requests import Request

from heliograph.domain.errors import Code, Refusal

Shape = TypeVar("Shape")

_AT = regex(r"(?P<what>.*?)(?: - at `(?P<path>\$.*)`)?", DOTALL)
_TYPE = regex(r"\b(?:str|int|float|bool)\b")
_JSON_WORDS = {"str": "string", "int": "number", "float": "number", "bool": "boolean"}
_MISSING = regex(r"Object missing required field `(?P<name>[^`]+)`")
_STEP = regex(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


DRAINED = 32 * 1024 * 1024
"""How much of a body that is too large is read and dropped: a client that is still sending would not see an answer."""


class TooLarge(Exception):
    """The body is larger than the server takes."""


class JsonBody(Generic[Shape]):
    """The body of one request: taken from the connection once, however often it is asked for."""

    def __init__(self, request: Request, decoder: "msgspec.json.Decoder[Shape]", limit: int) -> None:
        self._request = request
        self._decoder = decoder
        self._limit = limit
        self._bytes: bytes | None = None

    async def read(self) -> Shape:
        """The body as its type. Raises a `Refusal` that names the place, or `TooLarge`."""
        _check_content_type(self._request.headers.get("content-type"))
        if self._bytes is None:
            self._bytes = await _read(self._request, self._limit)
        try:
            return self._decoder.decode(self._bytes)
        except msgspec.ValidationError as error:
            raise wrong_type(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_json(self._bytes, str(error)) from None


async def _read(request: Request, limit: int) -> bytes:
    chunks, size, more = [], 0, True
    while more and size <= DRAINED:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refusal(Code.BAD_REQUEST, "The connection ended within the body.", "/")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise TooLarge
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_content_type(content_type: str | None) -> None:
    """A missing type is taken as JSON; `application/json` and types built on it are, whatever their parameters."""
    if content_type is None:
        return
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        detail = f"Send the body as 'Content-Type: application/json', got '{content_type[:64]}'."
        raise Refusal(Code.JSON_EXPECTED, detail)


def _not_json(body: bytes, reason: str) -> Refusal:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        detail = f"The body is not valid UTF-8 (byte {error.start})."
        return Refusal(Code.INVALID_ENCODING, detail, "/")
    if not body.strip():
        return Refusal(Code.INVALID_JSON, "The body is empty; a JSON object is expected.", "/")
    return Refusal(Code.INVALID_JSON, f"The body is not valid JSON: {reason.removeprefix('JSON is malformed: ')}.", "/")


def wrong_type(message: str, below: str = "") -> Refusal:
    """A validation error of msgspec, its path turned into a pointer under `below`."""
    match = _AT.fullmatch(message)
    what, path = (match["what"], match["path"]) if match else (message, None)
    what = _TYPE.sub(lambda word: _JSON_WORDS[word[0]], what).replace("`", "'")
    steps = _STEP.findall(path or "")
    escaped = ((name or index).replace("~", "~0").replace("/", "~1") for name, index in steps)
    inside = below + "".join(f"/{step}" for step in escaped)
    if match and (missing := _MISSING.fullmatch(match["what"])):
        name = missing["name"]
        detail = f"The '{name}' parameter is required and cannot be blank."
        return Refusal(Code.MISSING_PARAMETER, detail, f"{inside}/{name}")
    pointer = inside or "/"
    return Refusal(Code.INVALID_TYPE, f"{what} at '{pointer}'.", pointer)
