"""Which of a profile's numbers a message without `from` is sent from (Contract 6.2)."""

from collections.abc import Collection, Sequence

from heliograph.domain.accounts import NumberPool, Profile, Sender
from heliograph.domain.address import Address, AddressKind, area_code
from heliograph.domain.errors import Code, Refusal

NO_ALPHANUMERIC = frozenset({"US", "CA", "PR"})
"""Countries whose carriers take no alphanumeric sender (Contract 4.2)."""


def pool_of(profile: Profile) -> NumberPool:
    """How a profile picks its numbers; raises a `Refusal` when its pool is off."""
    pool = profile.settings.number_pool_settings
    if pool is None:
        raise Refusal(Code.NO_USABLE_NUMBERS, "The messaging profile has no number pool: give 'from'.", "/from")
    return pool


def usable(
    pool: NumberPool, senders: Sequence[Sender], unhealthy: Collection[str] = (), unregistered: Collection[str] = ()
) -> Sequence[Sender]:
    """Those numbers of a profile that its pool may send from: their kind has a weight, they have the campaign that the
    message needs, and they are not unhealthy where that is asked for.

    `unhealthy` are numbers that were measured so, `unregistered` those that lack the campaign. Raises a `Refusal` when
    none is left.
    """
    weighted = [each for each in senders if _weight(pool, each) > 0]
    registered = [each for each in weighted if each.address not in unregistered]
    found = [each for each in registered if not pool.skip_unhealthy or each.address not in unhealthy]
    if found:
        return found
    detail = "No number on the messaging profile may be used for the pool."
    if registered:
        detail = "Every number of the pool is unhealthy: too few of its messages of the last day arrived."
    elif weighted:
        detail = (
            "No number of the pool belongs to an active 10DLC campaign, and messages of long codes to the US need one."
        )
    raise Refusal(Code.NO_USABLE_NUMBERS, detail, "/from")


def pick(pool: NumberPool, found: Sequence[Sender], recipient: str, random: float) -> Sender:
    """One of the numbers that `usable` found: by area code where `geomatch` finds one, else by the kinds' weights.

    `random` in [0, 1) decides, so that the same value picks the same number. A sticky sender comes before all this.
    """
    weighted = [(sender, _weight(pool, sender)) for sender in found]
    if pool.geomatch and (near := area_code(recipient)) is not None:
        weighted = [each for each in weighted if area_code(each[0].address) == near] or weighted
    return _by_weight(_spread_over_kinds(weighted), random)


def _weight(pool: NumberPool, sender: Sender) -> float:
    if sender.kind is AddressKind.LONG_CODE:
        return pool.long_code_weight
    return pool.toll_free_weight if sender.kind is AddressKind.TOLL_FREE else 0


def _spread_over_kinds(usable: Sequence[tuple[Sender, float]]) -> list[tuple[Sender, float]]:
    """A weight is a kind's, not a number's: its numbers share it."""
    kinds = [sender.kind for sender, _ in usable]
    return [(sender, weight / kinds.count(sender.kind)) for sender, weight in usable]


def _by_weight(weighted: Sequence[tuple[Sender, float]], random: float) -> Sender:
    mark = random * sum(weight for _, weight in weighted)
    for sender, weight in weighted:
        mark -= weight
        if mark < 0:
            return sender
    return weighted[-1][0]


def needs_number(recipients: Sequence[Address]) -> bool:
    """Whether a recipient is where no alphanumeric sender may be sent from (Contract 4.2)."""
    return any(each.country in NO_ALPHANUMERIC for each in recipients)


def alphanumeric(profile: Profile, address: str, registered: Sender | None, *, others: bool = False) -> Sender:
    """The alphanumeric sender `address` of a profile: registered for it, or its `alpha_sender`.

    Raises a `Refusal` when the profile has none, or another one (Contract 2.6, codes 40306 and 40307); `others` is
    whether one is registered for it.
    """
    if registered is not None:
        return registered
    configured = profile.settings.alpha_sender
    if configured is None and not others:
        detail = f"Messaging profile {profile.id} has no alphanumeric sender."
        raise Refusal(Code.ALPHA_NOT_CONFIGURED, detail, "/from")
    if configured != address:
        detail = f"'{address}' is not an alphanumeric sender of messaging profile {profile.id}."
        raise Refusal(Code.ALPHA_MISMATCH, detail, "/from")
    return Sender(
        id=profile.id,
        organization_id=profile.organization_id,
        profile_id=profile.id,
        address=address,
        kind=AddressKind.ALPHANUMERIC,
        country=None,
        carrier="",
        line_type="",
    )
