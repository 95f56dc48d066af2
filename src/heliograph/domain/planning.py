"""Who is to be given a message, and at which rates: what is decided when it is taken, and again when a carrier fails.

The carrier that a message is planned for is its lane in the store. It changes when that carrier is down or refuses for
now, never once a carrier has, or may have, a part of it.
"""

from collections.abc import Collection, Sequence

import msgspec

from heliograph.domain.address import parse_destination
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.message import Message, MessageType
from heliograph.domain.pacing import UNPACED, Pace, Rates, paces_of
from heliograph.domain.routes import RouteQuery, RoutingTable, fraction_of, next_carrier


class Planner:
    """The routes and the rates of this service."""

    def __init__(self, routes: RoutingTable | None = None, mms: Collection[str] = (), rates: Rates = UNPACED) -> None:
        """`mms` are the carriers that can carry MMS. Without routes nothing is sent, and everything is kept."""
        self._routes = routes
        self._mms = frozenset(mms)
        self._rates = rates
        self.paced = rates != UNPACED
        """Whether there are any rates."""

    def plan(self, message: Message) -> Sequence[str]:
        """The carriers that may be given a message, the first to be tried first."""
        if self._routes is None:
            return ()
        return self._routes.plan(_query(message))

    def planned(self, message: Message) -> Message:
        """The message with the first carrier of its plan. Raises a `Refusal` when no route takes it."""
        if self._routes is None:
            return message
        plan = self.plan(message)
        if not plan:
            detail = f"No route leads from {message.sender} to {message.recipient}."
            raise Refusal(Code.UNSUPPORTED_TYPE, detail, "/to")
        return msgspec.structs.replace(message, carrier=plan[0])

    def carries_mms(self, sender: str, recipient: str, profile_id: str) -> bool:
        """Whether an MMS between two numbers has a carrier for it."""
        if self._routes is None:
            return True
        country = parse_destination(recipient).country
        query = RouteQuery(recipient, country, sender, profile_id, MessageType.MMS)
        return any(share.carrier in self._mms for stage in self._routes.stages(query) for share in stage)

    def after(self, message: Message, usable: Collection[str]) -> str | None:
        """The next usable carrier after the one that a message is with; None when there is no other."""
        found = next_carrier(self.plan(message), message.carrier, usable)
        return None if found == message.carrier else found

    def paces(self, message: Message) -> Sequence[Pace]:
        """The rates that a message is subject to."""
        return paces_of(message, self._rates)


def _query(message: Message) -> RouteQuery:
    return RouteQuery(
        message.recipient,
        parse_destination(message.recipient).country,
        message.sender,
        message.profile_id,
        message.type,
        fraction_of(message.id),
    )
