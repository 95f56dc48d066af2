"""What a change of a profile's settings does to what is kept beside them; in the transaction of the change."""

from heliograph.domain.accounts import Profile
from heliograph.store.engine import Transaction
from heliograph.store.spending import begin_counting
from heliograph.store.sticky import forget_profile


async def follow_settings(transaction: Transaction, before: Profile, after: Profile, max_lead: int) -> None:
    """Switching sticky senders, on or off, forgets them; a new limit counts what was taken for today already.

    `max_lead` is how long before it may have been taken, where its organisation has no longer one of its own.
    """
    if _is_sticky(before) != _is_sticky(after):
        await forget_profile(transaction, after.id)
    if before.settings.daily_spend_limit is None and after.settings.daily_spend_limit is not None:
        await begin_counting(transaction, after, transaction.engine.clock.now(), max_lead)


def _is_sticky(profile: Profile) -> bool:
    pool = profile.settings.number_pool_settings
    return pool is not None and pool.sticky_sender
