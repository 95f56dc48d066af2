"""Who calls: `Authorization: Bearer KEY_<id>_<secret>`.

The id finds the key; the secret, 256 random bits, is kept as its SHA-256 and compared in constant time.
"""

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from re import compile as regex

from heliograph.domain.accounts import Organization
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId
from heliograph.store.accounts import AccountLookup

_BEARER = regex(r"(?i:bearer) +KEY_([0-9a-f]{16})_([A-Za-z0-9_-]{43}) *")


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with, and whose it is."""

    key_id: str
    organization: Organization

    @property
    def organization_id(self) -> OrganizationId:
        """The tenant: every look-up is within it (promise P7)."""
        return self.organization.id


def key_text(key_id: str, secret: str) -> str:
    """A key as its owner sees it, once."""
    return f"KEY_{key_id}_{secret}"


def secret_hash(secret: str) -> str:
    """What is stored of a secret."""
    return sha256(secret.encode()).hexdigest()


async def authenticate(accounts: AccountLookup, authorization: str | None) -> Caller:
    """Recognise the caller; raises a `Refusal` with 10009, or 20002 for the right secret of a revoked key."""
    if not authorization:
        raise Refusal(Code.AUTHENTICATION_FAILED, "Send your API key as 'Authorization: Bearer <key>'.")
    match = _BEARER.fullmatch(authorization)
    if match is None:
        raise Refusal(Code.AUTHENTICATION_FAILED, "The Authorization header is not 'Bearer' and an API key.")
    key = await accounts.key(match[1])
    if key is None or not compare_digest(key.secret_hash, secret_hash(match[2])):
        raise Refusal(Code.AUTHENTICATION_FAILED, "No such API key.")
    if key.revoked_at is not None:
        raise Refusal(Code.KEY_REVOKED, "This API key was revoked.")
    return Caller(key.id, key.organization)
