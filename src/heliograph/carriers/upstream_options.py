"""What is set for an upstream, and what cannot be set so."""

from dataclasses import dataclass, field
from re import ASCII
from re import compile as regex

from heliograph.carriers.media import MediaLimits
from heliograph.carriers.upstream_standing import Pauses
from heliograph.carriers.upstream_webhooks import read_public_key
from heliograph.domain.instant import SECOND
from heliograph.outgoing import OutgoingFailure
from heliograph.outgoing.urls import read_url

_NAME = regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", ASCII).fullmatch
_KEY = regex(r"[!-~]+", ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """One upstream. Lengths of time in microseconds. Raises `ValueError` for what cannot be used."""

    name: str
    base_url: str
    """What `/messages` is put behind, such as `https://api.telnyx.com/v2`."""
    api_key: str = field(repr=False)
    messaging_profile_id: str | None = None
    """The profile at the upstream; it needs one for alphanumeric senders (Contract 4.2)."""
    callback_url: str | None = None
    """Where the upstream reaches us; without it there are no receipts. `/carriers/NAME/webhooks` is put behind it."""
    public_keys: tuple[str, ...] = ()
    """What its webhooks are verified with, in base64: one, or the old and the new one while they are changed."""
    window: int = 32
    """Messages under way to it at once."""
    timeout: int = 20 * SECOND
    """How long an answer is waited for."""
    repeat_safe: bool = False
    """It sends once what it is given twice under one `Idempotency-Key`. The provider does not."""
    mms: bool = True
    fetch_media: bool = True
    """Look at the media of an MMS before it is submitted."""
    media: MediaLimits = field(default_factory=MediaLimits)
    media_tries: int = 3
    """Tries after which media that cannot be fetched fail the message."""
    pauses: Pauses = field(default_factory=Pauses)

    def __post_init__(self) -> None:
        if _NAME(self.name) is None:
            raise ValueError("'name' must be letters, digits, '-', '_' and '.': it stands in a URL.")
        if _KEY(self.api_key) is None:
            raise ValueError("'api_key' must be ASCII without spaces, and not empty.")
        if min(self.window, self.timeout, self.media_tries) < 1:
            raise ValueError("'window', 'timeout' and 'media_tries' must be at least 1.")
        _check_url("base_url", self.base_url)
        for key in self.public_keys:
            read_public_key(key)
        if self.callback_url is None:
            return
        _check_url("callback_url", self.callback_url)
        if not self.public_keys:
            raise ValueError("With 'callback_url' a public key is needed, to verify what comes there.")


def _check_url(name: str, url: str) -> None:
    """Raise `ValueError` for what paths cannot be put behind."""
    try:
        read = read_url(url)
    except OutgoingFailure as failure:
        raise ValueError(f"'{name}' cannot be used. {failure.detail}") from None
    if read.query_string or read.fragment:
        raise ValueError(f"'{name}' must end with its path.")
