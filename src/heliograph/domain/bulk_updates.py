"""Many numbers put on one profile at once (Contract 10, /messaging_numbers_bulk_updates).

It is a job: what is wished for is kept with it, and what became of it so far.
"""

import msgspec

KIND = "messaging_numbers_bulk_update"


class BulkUpdateWish(msgspec.Struct, frozen=True):
    """`messaging_profile_id` is "" to take numbers from their profiles. No number is there twice."""

    messaging_profile_id: str
    numbers: tuple[str, ...]


class BulkUpdateResult(msgspec.Struct, frozen=True):
    """The numbers done so far; they are done in the order of the wish."""

    success: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """How many of the wish are behind us."""
        return len(self.success) + len(self.failed)


def result_of(content: bytes | None) -> BulkUpdateResult:
    """A result as it was kept with its job; None before anything was done."""
    return BulkUpdateResult() if content is None else msgspec.json.decode(content, type=BulkUpdateResult)


def wish_of(content: bytes) -> BulkUpdateWish:
    """A wish as it was kept with its job."""
    return msgspec.json.decode(content, type=BulkUpdateWish)
