"""A carrier over SMPP, made from its settings; imported where there is one."""

from collections.abc import Mapping
from pathlib import Path

from heliograph.carrier_settings import SmppSettings
from heliograph.carriers.smpp.addressing import Addressing, Rule
from heliograph.carriers.smpp.carrier import SmppCarrier
from heliograph.carriers.smpp.options import Binds, SmppOptions, Tls, Validity
from heliograph.carriers.smpp.parts import Manner
from heliograph.store.store import Store


def smpp_carrier(name: str, given: SmppSettings, store: Store) -> SmppCarrier:
    """A carrier as it is set. Raises `ValueError` for what cannot be."""
    return SmppCarrier(smpp_options(name, given), store.parts, store.clock)


def smpp_options(name: str, given: SmppSettings) -> SmppOptions:
    """An SMPP carrier as it is set. Raises `ValueError` for what cannot be."""
    return SmppOptions(
        name=name,
        host=given.host,
        port=given.port,
        system_id=given.system_id,
        password=given.password,
        tls=_tls(given) if given.tls else None,
        mode=_MODES[given.mode],
        binds=given.binds,
        system_type=given.system_type,
        interface_version=given.interface_version,
        address_range=given.address_range,
        window=given.window,
        part_interval=given.throughput,
        bind_timeout=given.bind_timeout,
        response_timeout=given.response_timeout,
        enquire_interval=given.enquire_interval,
        rebind_base=given.rebind_base,
        rebind_max=given.rebind_max,
        throttle_base=given.throttle_base,
        throttle_max=given.throttle_max,
        manner=Manner(given.long_messages, given.gsm7, dict(given.data_codings)),
        addressing=_addressing(given),
        service_type=given.service_type,
        registered_delivery=int(given.registered_delivery),
        receipts=given.receipts,
        validity=Validity(given.validity),
        message_reference=given.message_reference,
        repeatable=given.repeat_safe,
        query=given.query,
        zone=given.receipt_zone,
        reassembly_timeout=given.reassembly_timeout,
    )


_MODES: Mapping[str, Binds] = {
    "transceiver": Binds.TRANSCEIVER,
    "transmitter_receiver": Binds.PAIR,
    "transmitter": Binds.TRANSMITTER,
    "receiver": Binds.RECEIVER,
}


def _tls(given: SmppSettings) -> Tls:
    return Tls(
        ca_file=_path(given.tls_ca_file),
        server_name=given.tls_server_name or None,
        check_hostname=given.tls_check_host,
        certificate=_path(given.tls_cert_file),
        key=_path(given.tls_key_file),
    )


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _addressing(given: SmppSettings) -> Addressing:
    usual = Addressing()
    rules = {}
    for kind, prefix in _RULES.items():
        rule: Rule = getattr(usual, kind)
        ton, npi = getattr(given, f"{prefix}_ton"), getattr(given, f"{prefix}_npi")
        rules[kind] = Rule(rule.ton if ton is None else ton, rule.npi if npi is None else npi)
    return Addressing(**rules, keep_plus=given.keep_plus, home_country=given.home_country)


_RULES = {
    "long_code": "long_code",
    "toll_free": "toll_free",
    "short_code": "short_code",
    "alphanumeric": "alphanumeric",
    "destination": "destination",
    "short_destination": "short_destination",
}
