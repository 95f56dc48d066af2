"""Puts many numbers on a profile, or on none, piece by piece.

A piece is one transaction, then its outcome is kept with the job. What a crash leaves between the two is done again,
which changes nothing; everything before is not touched again.
"""

from collections.abc import Iterable

import msgspec

from heliograph.domain.address import AddressKind, BadAddress, parse_sender
from heliograph.domain.bulk_updates import BulkUpdateResult, BulkUpdateWish, result_of, wish_of
from heliograph.jobs.runner import Done
from heliograph.store.jobs import Job
from heliograph.store.numbers import NoSuchProfile
from heliograph.store.store import Store

AT_ONCE = 100
"""Numbers in one transaction: each makes every node look up accounts anew."""


async def bulk_update(store: Store, job: Job) -> Done:
    """Go on where the job stands, to its end."""
    wish, result = wish_of(job.wish), result_of(job.result)
    while result.done < len(wish.numbers):
        result = await _piece(store, job, wish, result)
        await store.jobs.progress(job, msgspec.json.encode(result))
    return Done(msgspec.json.encode(result))


async def _piece(store: Store, job: Job, wish: BulkUpdateWish, result: BulkUpdateResult) -> BulkUpdateResult:
    numbers = wish.numbers[result.done : result.done + AT_ONCE]
    addresses, now = sorted(_addresses(numbers)), store.clock.now()
    try:
        # A process that was paused past its lease must not do again what its owner may have changed since.
        held = store.jobs.holding(job)
        found = await store.senders.assign(job.organization_id, wish.messaging_profile_id, addresses, now, held)
    except NoSuchProfile:
        # It was there when the job was asked for, and is deleted: nothing of what is left can be done.
        return BulkUpdateResult(result.success, result.failed + wish.numbers[result.done :])
    success = tuple(each for each in numbers if each in found)
    failed = tuple(each for each in numbers if each not in found)
    return BulkUpdateResult(result.success + success, result.failed + failed)


def _addresses(numbers: Iterable[str]) -> Iterable[str]:
    """Those that can be numbers at all."""
    for number in numbers:
        try:
            address = parse_sender(number)
        except BadAddress:
            continue
        if address.kind is not AddressKind.ALPHANUMERIC:
            yield address.text
