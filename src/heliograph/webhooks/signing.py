"""The headers of a webhook, which prove where it is from and that its body is the one that left (Contract 3.4, 3.8).

Three schemes, each over the raw bytes of the body and the time of the request:

    telnyx-signature-ed25519   Ed25519       time | body         for the provider's SDKs
    webhook-signature          HMAC, Ed25519 id . time . body    Standard Webhooks 1.0.0: `v1` and `v1a`, an extension
    X-Telnyx-Signature         HMAC          time . body         for profiles with `webhook_api_version` "1"

`body` must be sent as it was signed, byte for byte. `seconds` is Unix time when the request leaves, by a true clock and
not the sandbox's test clock: receivers refuse what is over 300 s off (Contract 3.4), so each attempt is signed anew.
"""

import hmac
from base64 import b64decode, b64encode
from functools import lru_cache
from re import ASCII
from re import compile as regex

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair

from heliograph.domain.signing_keys import SECRET_PREFIX, SigningKeys, WebhookKey

KEPT_KEYS = 4096
"""Keys kept ready: making one from its seed takes as long as a signature."""

# The user agent is documented for voice (Contract 3.4); receivers that know senders by it know this one.
_EVERY = {"Content-Type": "application/json", "User-Agent": "telnyx-webhooks"}
# An id with a full stop could be read as another id, another time and another body (Standard Webhooks).
_ID = regex(r"[A-Za-z0-9_-]+", ASCII)


def signed_headers(keys: SigningKeys, event_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook of version 2. Raises `ValueError` for an id that is not letters, digits, `_` and `-`.

    `event_id` is the same at each attempt; receivers know duplicates by it.
    """
    if _ID.fullmatch(event_id) is None:
        raise ValueError(f"{event_id!r} cannot be the id of a webhook")
    stated = b"%s.%d.%s" % (event_id.encode(), seconds, body)
    signatures = [f"v1,{_hmac(_secret_bytes(key), stated)}" for key in keys.live]
    signatures += [f"v1a,{_ed25519(key, stated)}" for key in keys.live]
    return _EVERY | {
        "telnyx-signature-ed25519": _ed25519(keys.signer, b"%d|%s" % (seconds, body)),
        "telnyx-timestamp": str(seconds),
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signatures),
    }


def signed_headers_v1(secret: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook of version 1, signed with the `v1_secret` of the profile as it is written.

    Source: developers.telnyx.com/docs/v1/messaging/webhooks/inbound-message-signature, "Checking the Signature". With
    an empty secret there is no signature, for everybody could make the same one.
    """
    if not secret:
        return dict(_EVERY)
    return _EVERY | {"X-Telnyx-Signature": f"t={seconds},h={_hmac(secret.encode(), b'%d.%s' % (seconds, body))}"}


def public_key(key: WebhookKey) -> str:
    """What receivers verify `telnyx-signature-ed25519` with: 32 bytes in base64, as `TELNYX_PUBLIC_KEY` wants it."""
    public, _ = _pair(key.private_key)
    return b64encode(public).decode()


def _ed25519(key: WebhookKey, message: bytes) -> str:
    _, private = _pair(key.private_key)
    return b64encode(crypto_sign(message, private)[:crypto_sign_BYTES]).decode()


def _hmac(secret: bytes, message: bytes) -> str:
    return b64encode(hmac.digest(secret, message, "sha256")).decode()


def _secret_bytes(key: WebhookKey) -> bytes:
    return b64decode(key.secret.removeprefix(SECRET_PREFIX), validate=True)


@lru_cache(maxsize=KEPT_KEYS)
def _pair(seed: str) -> tuple[bytes, bytes]:
    """The public key of a seed, and the private key in the form that signs."""
    public, private = crypto_sign_seed_keypair(b64decode(seed, validate=True))
    return public, private
