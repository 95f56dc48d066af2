"""A carrier that is a service of this API, made from its settings; imported where there is one."""

from heliograph.carrier_settings import UpstreamSettings
from heliograph.carriers.upstream import UpstreamCarrier
from heliograph.carriers.upstream_options import UpstreamOptions
from heliograph.clock import Clock
from heliograph.outgoing import OutgoingHttp


def upstream_carrier(
    name: str, given: UpstreamSettings, callback_url: str | None, http: OutgoingHttp, clock: Clock
) -> UpstreamCarrier:
    """A carrier as it is set. Raises `ValueError` for what cannot be."""
    return UpstreamCarrier(upstream_options(name, given, callback_url), http, clock)


def upstream_options(name: str, given: UpstreamSettings, callback_url: str | None) -> UpstreamOptions:
    """An upstream as it is set. Raises `ValueError` for what cannot be."""
    return UpstreamOptions(
        name=name,
        base_url=given.base_url,
        api_key=given.api_key,
        messaging_profile_id=given.messaging_profile_id or None,
        callback_url=callback_url,
        public_keys=given.public_key,
        window=given.window,
        timeout=given.timeout,
        repeat_safe=given.repeat_safe,
        mms=given.mms,
        fetch_media=given.fetch_media,
    )
