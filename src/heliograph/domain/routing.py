"""Which of a profile's numbers a message without `from` is sent from (Contract 6.2)."""

from collections.abc import Sequence

from heliograph.domain.accounts import NumberPool, Profile, Sender
from heliograph.domain.address import AddressKind, area_code
from heliograph.domain.errors import Code, Refusal


def pick(pool: NumberPool | None, senders: Sequence[Sender], recipient: str, random: float) -> Sender:
    """A number of the pool: by area code where `geomatch` finds one, else by the weights of the two kinds.

    `random` in [0, 1) decides, so that the same value picks the same number. Raises a `Refusal` when the pool is off or
    nothing in it may be used.
    """
    if pool is None:
        raise Refusal(Code.NO_USABLE_NUMBERS, "The messaging profile has no number pool: give 'from'.", "/from")
    usable = [(sender, weight) for sender in senders if (weight := _weight(pool, sender)) > 0]
    if pool.geomatch and (near := area_code(recipient)) is not None:
        usable = [each for each in usable if area_code(each[0].address) == near] or usable
    if not usable:
        raise Refusal(Code.NO_USABLE_NUMBERS, "No number on the messaging profile may be used for the pool.", "/from")
    return _by_weight(_spread_over_kinds(usable), random)


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


def alphanumeric(profile: Profile, address: str, registered: Sender | None) -> Sender:
    """The alphanumeric sender `address` of a profile: registered for it, or its `alpha_sender`.

    Raises a `Refusal` when the profile has none, or another one (Contract 2.6, codes 40306 and 40307).
    """
    if registered is not None:
        return registered
    configured = profile.settings.alpha_sender
    if configured is None:
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
