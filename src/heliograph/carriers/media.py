"""The media of an MMS, fetched when it is sent (Contract 4.3).

    URLs --GET each, through the guarded client--> status --> type --> size --> SHA-256 --> domain Media
                                       anything wrong --> MediaProblem

Nothing is kept of what is fetched but its description: whoever delivers the MMS fetches it again. Nothing is sniffed:
an item is what its `Content-Type` says. Redirects are not followed (design, decision 10).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from heliograph.clock import monotonic
from heliograph.domain.compose import MAX_MEDIA
from heliograph.domain.delivery import Fault
from heliograph.domain.errors import Code
from heliograph.domain.instant import SECOND, duration_text
from heliograph.domain.message import DeliveryError, Media
from heliograph.domain.outcome import delivery_error
from heliograph.outgoing import HttpAnswer, OutgoingFailure, OutgoingHttp

FETCHES = 16
"""Fetches at once of one fetcher: so many times the largest item is what they may hold in memory."""
SHOWN = 100
"""Characters of a URL that an error shows."""

# JPEG PNG GIF BMP TIFF WebP; MP4 3GP MOV; MP3 WAV AMR OGG; PDF vCard iCal: under the names that servers give them.
TYPES = frozenset(
    {
        *("image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/x-png", "image/gif"),
        *("image/bmp", "image/x-bmp", "image/x-ms-bmp", "image/tiff", "image/webp"),
        *("video/mp4", "video/3gpp", "video/3gp", "video/quicktime"),
        *("audio/mpeg", "audio/mp3", "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
        *("audio/amr", "audio/ogg", "application/ogg", "audio/3gpp"),
        *("application/pdf", "text/vcard", "text/x-vcard", "text/calendar"),
    }
)

# Who would answer otherwise at another time. The other faults say that the URL itself is wrong.
_PASSING = frozenset({Fault.OTHER, Fault.NO_NAME, Fault.NO_CONNECTION})
_PASSING_STATUSES = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """How much an MMS may hold (Contract 2.6, code 40317), and how long fetching may take."""

    items: int = MAX_MEDIA
    total: int = 1_000_000
    """Bytes that all items together stay under."""
    timeout: int = 10 * SECOND
    """Microseconds for each item; they are fetched at the same time."""
    types: frozenset[str] = TYPES


class MediaProblem(Exception):
    """The media cannot be sent; `error` says which and why. With `temporary` another try may do better."""

    def __init__(self, detail: str, *, temporary: bool = False) -> None:
        super().__init__(detail)
        self.temporary = temporary

    @property
    def error(self) -> DeliveryError:
        """As an entry of `errors[]`."""
        return delivery_error(Code.INVALID_BODY, str(self))


class MediaFetcher:
    """Fetches media to describe them."""

    def __init__(self, http: OutgoingHttp, limits: MediaLimits) -> None:
        self._http = http
        self._limits = limits
        self._places = asyncio.Semaphore(FETCHES)

    async def fetch(self, media: Sequence[Media], until: int) -> tuple[Media, ...]:
        """What each item is, in order. Raises `MediaProblem`, and then fetches no further item.

        `until` is a moment of `clock.monotonic` at which it is over; what is missing then is a time-out.
        """
        if len(media) > self._limits.items:
            raise MediaProblem(f"An MMS has at most {self._limits.items} media items, this one {len(media)}.")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._item(each.url, until)) for each in media]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        fetched = tuple(task.result() for task in tasks)
        total = sum(each.size or 0 for each in fetched)
        if total >= self._limits.total:
            raise MediaProblem(f"The media have {total:,} bytes; an MMS stays under {self._limits.total:,}.")
        return fetched

    async def _item(self, url: str, until: int) -> Media:
        async with self._places:
            timeout = min(self._limits.timeout, until - monotonic())
            if timeout <= 0:
                raise MediaProblem(f"There was no time left to fetch {_shown(url)}.", temporary=True)
            try:
                answer = await self._http.request("GET", url, headers={}, timeout=timeout, largest=self._limits.total)
            except OutgoingFailure as failure:
                detail = f"{_shown(url)} cannot be fetched: {failure.detail}"
                raise MediaProblem(detail, temporary=failure.fault in _PASSING) from failure
        return self._described(url, answer, timeout)

    def _described(self, url: str, answer: HttpAnswer, timeout: int) -> Media:
        _check_status(url, answer.status)
        kind = self._content_type(url, answer)
        size = len(answer.body)
        if size >= self._limits.total:
            raise MediaProblem(f"{_shown(url)} is too large: an MMS stays under {self._limits.total:,} bytes.")
        if answer.cut:
            detail = f"{_shown(url)} did not come whole within {duration_text(timeout)}: {size:,} bytes did."
            raise MediaProblem(detail, temporary=True)
        if not size:
            raise MediaProblem(f"{_shown(url)} is empty.")
        return Media(url, kind, sha256(answer.body).hexdigest(), size)

    def _content_type(self, url: str, answer: HttpAnswer) -> str:
        told = next((value for name, value in answer.headers if name.lower() == "content-type"), "")
        kind = told.partition(";")[0].strip().lower()
        if not kind:
            raise MediaProblem(f"{_shown(url)} does not say what it is: it has no Content-Type.")
        if kind not in self._limits.types:
            raise MediaProblem(f"{_shown(url)} is of the type '{kind[:SHOWN]}', which an MMS cannot hold.")
        return kind


def _check_status(url: str, status: int) -> None:
    if 200 <= status <= 299:
        return
    temporary = status >= 500 or status in _PASSING_STATUSES
    if 300 <= status <= 399:
        raise MediaProblem(f"{_shown(url)} is a redirect ({status}), which is not followed.")
    raise MediaProblem(f"{_shown(url)} was answered with status {status}.", temporary=temporary)


def _shown(url: str) -> str:
    """Without its query, which may hold a signature that opens it."""
    return urlsplit(url)._replace(query="", fragment="").geturl()[:SHOWN]
