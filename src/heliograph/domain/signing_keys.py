"""The keys that an organisation's webhooks are signed with, and how one follows another (Contract 3.4).

A receiver verifies `telnyx-signature-ed25519` with one public key, so a new key is shown before it signs. The header
of Standard Webhooks has room for several signatures and carries those of every live key. A rotation goes like this:

    now                 shown, and live beside the old one
    now + overlap       signs in the place of the old one
    now + 2 * overlap   the old one retires
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import DAY, Instant

SECRET_PREFIX = "whsec_"  # noqa: S105 - what stands before a secret (Standard Webhooks, "Signature scheme")
LONGEST_OVERLAP = 30 * DAY
"""A longer one is another unit taken for seconds, and would leave no planned rotation possible meanwhile."""


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """One Ed25519 key and the secret that goes with it; both are for one organisation alone.

    A secret that two tenants knew would let one forge events to the other (promise P7).
    """

    id: str
    organization_id: OrganizationId
    private_key: str = field(repr=False)
    """The seed, 32 bytes in base64. Never shown."""
    secret: str = field(repr=False)
    """Of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. Shown to its organisation."""
    created_at: Instant
    signs_from: Instant
    retires_at: Instant | None = None
    """From when it is used no more; None until a rotation names it."""

    def is_live(self, now: Instant) -> bool:
        """Whether receivers may still be asked to trust it."""
        return self.retires_at is None or now < self.retires_at


class SigningKeys(NamedTuple):
    """What signs at a moment."""

    signer: WebhookKey
    """The one of `telnyx-signature-ed25519`."""
    live: Sequence[WebhookKey]
    """All whose signatures stand in `webhook-signature`, the signer first."""


class NoLiveKey(LookupError):
    """An organisation has no key to sign with: `WebhookKeys.ensure` makes one."""


class RotationUnderWay(Exception):
    """A planned rotation has to wait for the end of the one before; `until` says when that is."""

    def __init__(self, until: Instant) -> None:
        super().__init__(until)
        self.until = until


def keys_at(keys: Sequence[WebhookKey], now: Instant) -> SigningKeys:
    """Of the keys of one organisation, which sign at `now`. Raises `NoLiveKey`.

    `keys` may be some seconds old, but not older than the overlap of a rotation: the key that signs next is among them
    as long as that.
    """
    live = sorted((key for key in keys if key.is_live(now)), key=_place)
    if not live:
        raise NoLiveKey
    # The clock of another node may be a little ahead: the first key signs even before its time.
    signer = next((key for key in reversed(live) if key.signs_from <= now), live[0])
    return SigningKeys(signer, [signer, *(key for key in live if key is not signer)])


def signs_until(key: WebhookKey, keys: Sequence[WebhookKey]) -> Instant | None:
    """When another of `keys` takes over from `key`; None while that is not planned."""
    return min((each.signs_from for each in keys if _place(each) > _place(key)), default=None)


def follow(keys: Sequence[WebhookKey], new: WebhookKey, now: Instant, overlap: int) -> Sequence[WebhookKey]:
    """The live keys after a rotation to `new`, each with its times.

    `overlap` is in microseconds. At 0, for a key that somebody else may have, `new` signs at once and every other key
    retires at once, also in the middle of another rotation. Raises `RotationUnderWay` for any other overlap while a key
    waits for its end, and `ValueError` for one that is negative or over `LONGEST_OVERLAP`.
    """
    if not 0 <= overlap <= LONGEST_OVERLAP:
        raise ValueError(f"an overlap of {overlap} microseconds, wanted 0 to {LONGEST_OVERLAP}")
    live = [key for key in keys if key.is_live(now)]
    ends = [key.retires_at for key in live if key.retires_at is not None]
    if overlap and ends:
        raise RotationUnderWay(max(ends))
    old = [replace(key, retires_at=Instant(now + 2 * overlap)) for key in live]
    # Nobody has verified anything with the first key yet, so nobody needs time to take it up.
    return [*old, replace(new, signs_from=Instant(now + overlap) if old else now)]


def _place(key: WebhookKey) -> tuple[Instant, str]:
    return key.signs_from, key.id
