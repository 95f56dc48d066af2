"""What a carrier that reports over HTTP is to whoever receives its requests.

WebhookProblem
    NotVerified     nothing proves that it is from the carrier
    Unreadable      it is from the carrier, and not what a webhook looks like
    NotReady        nobody is there yet, or any more, to keep what it says
"""

from collections.abc import Mapping
from typing import Protocol


class WebhookProblem(Exception):
    """The webhook was not taken; the text says why, fit for whoever sent it."""


class NotVerified(WebhookProblem):
    """It has no signature, or none that holds."""


class Unreadable(WebhookProblem):
    """It cannot be understood, and will not be at another try."""


class NotReady(WebhookProblem):
    """Come again."""


class Receiver(Protocol):
    """Takes the webhooks of one carrier."""

    async def webhook(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> None:
        """Verify a webhook and keep what it says; it is kept when this returns.

        `headers` has its names in lower case, `body` is as it came, byte for byte. Raises a `WebhookProblem`, and
        whatever the inbox raises where it cannot keep it: then it must come again.
        """
