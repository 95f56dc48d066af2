"""Carriers in the settings: tables of the file, their limits, the environment over them, and no secret shown."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from datetime import UTC
from pathlib import Path
from typing import Any, get_args

import pytest

from heliograph.carrier_settings import (
    KINDS,
    CarrierSettings,
    SmppSettings,
    UpstreamSettings,
)
from heliograph.carriers.smpp.encoding import Alphabet
from heliograph.carriers.smpp.parts import LongMessages
from heliograph.domain.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from heliograph.setting_kinds import http_url
from heliograph.settings import BadSettings, Settings, changed, describe, load

SECRET = "hunter2"
KEY = "A" * 43 + "="
SMPP = 'kind = "smpp"\nhost = "smpp.example.com"\nsystem_id = "acme"\n'
UPSTREAM = f'kind = "upstream"\nbase_url = "https://api.example.com/v2"\napi_key = "{SECRET}"\n'
VALID = {"smpp": SMPP, "upstream": UPSTREAM}


class File:
    """A TOML file of settings, and what becomes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def loaded(self, text: str, environ: Mapping[str, str] = {}, overrides: Mapping[str, object] = {}) -> Settings:
        self.path.write_text(text)
        return load(self.path, environ, overrides)

    def problems(self, text: str, environ: Mapping[str, str] = {}, overrides: Mapping[str, object] = {}) -> list[str]:
        """What is wrong, the file's name written as FILE."""
        with pytest.raises(BadSettings) as caught:
            self.loaded(text, environ, overrides)
        return [each.replace(str(self.path), "FILE") for each in caught.value.problems]

    def carrier(self, kind: str, lines: str = "") -> Any:
        """One carrier with the lines in its table."""
        return self.loaded(f"[carriers.one]\n{VALID[kind]}{lines}").carriers["one"]


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "h.toml")


# ------------------------------------------------------------------------------------------------------------- defaults


def test_without_a_file_there_are_no_carriers() -> None:
    assert dict(load(environ={}).carriers) == {}


def test_a_carrier_over_smpp_needs_a_host_and_a_name(file: File) -> None:
    carrier = file.carrier("smpp")
    assert carrier == SmppSettings(host="smpp.example.com", system_id="acme")
    assert (carrier.port, carrier.interface_version, carrier.mode, carrier.window) == (2775, 0x34, "transceiver", 10)
    assert (carrier.response_timeout, carrier.settle_after, carrier.throughput) == (10 * SECOND, 10 * MINUTE, 0)
    assert (carrier.receipt_zone, carrier.unconfirmed_after, carrier.long_code_ton) == (UTC, None, None)


def test_an_upstream_needs_an_address_and_a_key(file: File) -> None:
    carrier = file.carrier("upstream")
    assert carrier == UpstreamSettings(base_url="https://api.example.com/v2", api_key=SECRET)
    assert (carrier.window, carrier.timeout, carrier.mms, carrier.fetch_media) == (32, 10 * SECOND, True, True)
    assert (carrier.public_key, carrier.callback_url, carrier.repeat_safe) == ((), None, False)


def test_carriers_keep_the_order_of_the_file(file: File) -> None:
    settings = file.loaded(f"[carriers.b]\n{SMPP}[carriers.a]\n{UPSTREAM}[carriers.c]\n{SMPP}")
    assert list(settings.carriers) == ["b", "a", "c"]


def test_carriers_do_not_change(file: File) -> None:
    settings = file.loaded(f"[carriers.one]\n{SMPP}")
    with pytest.raises(FrozenInstanceError):
        settings.carriers["one"].window = 1  # type: ignore[misc]  # what must fail
    with pytest.raises(TypeError):
        settings.carriers["two"] = settings.carriers["one"]  # type: ignore[index]  # what must fail


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_default_of_a_carrier_is_a_value_that_may_be_given(kind: str, file: File) -> None:
    defaults = {
        name: each.kind.show(each.default) for name, each in KINDS[kind].settings().items() if not each.required
    }
    overrides = {f"carriers.one.{name}": value for name, value in defaults.items()}
    text = f"[carriers.one]\n{VALID[kind]}"
    assert file.loaded(text, overrides=overrides) == file.loaded(text)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_default_of_a_carrier_may_stand_in_the_environment(kind: str, file: File) -> None:
    defaults = {
        name: each.kind.show(each.default) for name, each in KINDS[kind].settings().items() if not each.required
    }
    environ = {f"HELIOGRAPH_CARRIERS__ONE__{name.upper()}": str(value) for name, value in defaults.items()}
    text = f"[carriers.one]\n{VALID[kind]}"
    assert file.loaded(text, environ) == file.loaded(text)


# --------------------------------------------------------------------------------------------------------------- limits


# Kind, name, what is taken as it stands in the file and held as what, what is refused.
LIMITS: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("smpp", "host", {'"::1"': "::1"}, ['""', '"a b"', "5"]),
    ("smpp", "port", {"1": 1, "65535": 65_535}, ["0", "65536"]),
    ("smpp", "system_id", {'"x"': "x", f'"{"x" * 15}"': "x" * 15}, ['""', f'"{"x" * 16}"', '"\u20ac"']),
    ("smpp", "password", {'""': "", f'"{"x" * 64}"': "x" * 64}, [f'"{"x" * 65}"', '"\u20ac"', '"\\u0000"', "5"]),
    ("smpp", "system_type", {f'"{"x" * 12}"': "x" * 12}, [f'"{"x" * 13}"']),
    ("smpp", "service_type", {'"12345"': "12345"}, ['"123456"']),
    ("smpp", "address_range", {f'"{"x" * 40}"': "x" * 40}, [f'"{"x" * 41}"']),
    ("smpp", "interface_version", {'"3.3"': 0x33, "3.4": 0x34, "5.0": 0x50, "0x34": 0x34}, ['"3"', "4", "true", "[]"]),
    ("smpp", "mode", {'"receiver"': "receiver", '"transmitter_receiver"': "transmitter_receiver"}, ['"trx"']),
    ("smpp", "binds", {"1": 1, "50": 50}, ["0", "51"]),
    ("smpp", "window", {"1": 1, "10000": 10_000}, ["0", "10001"]),
    ("smpp", "throughput", {"0": 0, "50": 20_000, '"60/m"': SECOND}, ["-1", '"fast"']),
    ("smpp", "bind_timeout", {'"1ms"': MILLISECOND}, ['"999us"']),
    ("smpp", "response_timeout", {'"1ms"': MILLISECOND}, ["0"]),
    ("smpp", "enquire_interval", {'"1ms"': MILLISECOND}, ["0"]),
    ("smpp", "rebind_base", {'"1us"': 1}, ["0"]),
    ("smpp", "rebind_max", {'"1s"': SECOND}, ['"367d"']),
    ("smpp", "throttle_base", {'"1us"': 1}, ["0"]),
    ("smpp", "throttle_max", {'"1s"': SECOND}, ['"367d"']),
    ("smpp", "long_messages", {f'"{each}"': each for each in LongMessages}, ['"udh"']),
    ("smpp", "gsm7", {'"ascii"': Alphabet.ASCII, '"latin1"': Alphabet.LATIN1}, ['"ucs2"', '"binary"']),
    ("smpp", "data_codings", {"{}": (), '{ 9 = "latin1" }': ((9, Alphabet.LATIN1),)}, ["0", '{ 256 = "latin1" }']),
    ("smpp", "registered_delivery", {"false": False}, ['"on"']),
    ("smpp", "validity", {'"absolute"': "absolute", '"none"': "none"}, ['"soon"']),
    ("smpp", "long_code_ton", {"0": 0, "255": 255, '"auto"': None, '""': None}, ["-1", "256", '"x"']),
    ("smpp", "destination_npi", {"0": 0, "255": 255, '"auto"': None, '""': None}, ["-1", "256", '"x"']),
    ("smpp", "home_country", {'"GB"': "GB", '""': None}, ['"gb"', '"UK"', "44"]),
    ("smpp", "receipt_zone", {'"UTC"': UTC}, ['"Mars"', '"+25:00"']),
    ("smpp", "unconfirmed_after", {'"1d"': DAY, '""': None}, ["0"]),
    ("smpp", "settle_after", {"0": 0}, ["-1"]),
    ("smpp", "reassembly_timeout", {"1": SECOND}, ['"999ms"']),
    ("upstream", "base_url", {'"http://h/"': "http://h"}, ['""', '"h"', '"https://u:p@h"']),
    ("upstream", "api_key", {'"k"': "k"}, ['""', '"a b"', '"\u20ac"', "5"]),
    ("upstream", "public_key", {'""': (), f'"{KEY}"': (KEY,), f'["{KEY}", "{KEY}"]': (KEY, KEY)}, ['"AAAA"', '"?"']),
    ("upstream", "callback_url", {'""': None}, ['"h"']),
    ("upstream", "messaging_profile_id", {'""': "", '"p-1"': "p-1"}, ['"a b"']),
    ("upstream", "window", {"1": 1, "10000": 10_000}, ["0", "10001"]),
    ("upstream", "timeout", {'"1ms"': MILLISECOND}, ["0"]),
    ("upstream", "throughput", {"0": 0}, ["-1"]),
    ("upstream", "mms", {"false": False}, ["1"]),
    ("upstream", "settle_after", {"0": 0}, ["-1"]),
]


def in_table(kind: str, name: str, raw: str) -> str:
    """The table of a carrier with this value, in the place of the one that it has."""
    lines = [line for line in VALID[kind].splitlines() if not line.startswith(f"{name} ")]
    return "\n".join(["[carriers.one]", *lines, f"{name} = {raw}", ""])


@pytest.mark.parametrize(
    ("kind", "name", "raw", "value"),
    [(kind, name, *each) for kind, name, taken, _ in LIMITS for each in taken.items()],
    ids=repr,
)
def test_a_value_at_its_limit_is_taken(kind: str, name: str, raw: str, value: object, file: File) -> None:
    assert getattr(file.loaded(in_table(kind, name, raw)).carriers["one"], name) == value


@pytest.mark.parametrize(
    ("kind", "name", "raw"), [(kind, name, raw) for kind, name, _, refused in LIMITS for raw in refused], ids=repr
)
def test_a_value_past_its_limit_is_refused(kind: str, name: str, raw: str, file: File) -> None:
    (problem,) = file.problems(in_table(kind, name, raw))
    assert problem.startswith(f"carriers.one.{name} (FILE): got ")


@pytest.mark.parametrize(
    ("raw", "codings"),
    [
        ("0=latin1,8=ucs2", {0: Alphabet.LATIN1, 8: Alphabet.UCS2}),
        ("0x00 = gsm7-packed", {0: Alphabet.GSM7_PACKED}),
        ("", {}),
    ],
)
def test_data_codings_may_be_text(raw: str, codings: dict[int, Alphabet], file: File) -> None:
    settings = file.loaded(
        f'[carriers.one]\n{SMPP}gsm7 = "{codings.get(0, Alphabet.GSM7)}"\n',
        {"HELIOGRAPH_CARRIERS__ONE__DATA_CODINGS": raw},
    )
    assert isinstance(settings.carriers["one"], SmppSettings)
    assert dict(settings.carriers["one"].data_codings) == codings


@pytest.mark.parametrize("raw", ["0", "latin1", "0=latin", "x=latin1", "0=latin1,0x0=ucs2", "=", "-1=latin1"])
def test_what_are_no_data_codings_is_refused(raw: str, file: File) -> None:
    (problem,) = file.problems(f"[carriers.one]\n{SMPP}", {"HELIOGRAPH_CARRIERS__ONE__DATA_CODINGS": raw})
    assert problem.startswith("carriers.one.data_codings (HELIOGRAPH_CARRIERS__ONE__DATA_CODINGS): got ")


# -------------------------------------------------------------------------------------------------------- names, kinds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("carriers = 1", "carriers (FILE): got a single value, wanted tables [carriers.NAME]"),
        ("[[carriers]]", "carriers (FILE): got a list, wanted tables [carriers.NAME]"),
        (
            f'[carriers]\none = "{SECRET}"',
            "carriers.one (FILE): got a single value, wanted the table [carriers.one]",
        ),
        ("[carriers.one]", 'carriers.one.kind (FILE): missing, wanted one of "smpp", "upstream"'),
        (
            '[carriers.one]\nkind = "smmp"\nwhatever = 1',
            'carriers.one.kind (FILE): got "smmp", wanted one of "smpp", "upstream"',
        ),
        ("[carriers.one]\nkind = []", 'carriers.one.kind (FILE): got a list, wanted one of "smpp", "upstream"'),
        (f"[carrier.one]\n{SMPP}", "carrier (FILE): no such section; did you mean carriers?"),
        (
            f"[carriers.one]\n{SMPP}pasword = '{SECRET}'",
            "carriers.one.pasword (FILE): no such setting; did you mean carriers.one.password?",
        ),
        (
            f"[carriers.one]\n{UPSTREAM}system_id = 'x'",
            "carriers.one.system_id (FILE): no such setting; did you mean carriers.one.timeout?",
        ),
    ],
    ids=repr,
)
def test_what_is_no_carrier_is_a_problem(text: str, problem: str, file: File) -> None:
    assert file.problems(text)[0].partition(";")[0] == problem.partition(";")[0]


@pytest.mark.parametrize("name", ["sandbox", "Agg", "a.b", "a b", "", "x" * 33, "\u00e9"], ids=repr)
def test_a_bad_name_is_a_problem(name: str, file: File) -> None:
    (problem,) = file.problems(f'[carriers."{name}"]\n{SMPP}')
    assert f'got the name "{name}", wanted 1 to 32 of a-z, 0-9' in problem


@pytest.mark.parametrize("name", ["a", "0", "-", "agg-1_b", "x" * 32], ids=repr)
def test_a_name_is_of_small_letters_digits_and_two_signs(name: str, file: File) -> None:
    assert list(file.loaded(f"[carriers.{name}]\n{SMPP}").carriers) == [name]


def test_two_names_must_not_be_one_in_the_environment(file: File) -> None:
    assert file.problems(f"[carriers.a-b]\n{SMPP}[carriers.a_b]\n{SMPP}") == [
        "carriers.a_b (FILE): rename it, as carriers.a-b is HELIOGRAPH_CARRIERS__A_B__... in the environment too"
    ]


def test_what_must_be_given_and_is_not_is_missing(file: File) -> None:
    assert file.problems('[carriers.one]\nkind = "smpp"\n[carriers.two]\nkind = "upstream"\n') == [
        "carriers.one.host: missing, wanted a host name or an address",
        "carriers.one.system_id: missing, wanted 1 to 15 characters of Latin-1",
        f"carriers.two.base_url: missing, wanted {http_url().wanted}",
        "carriers.two.api_key: missing, wanted an API key",
    ]


def test_what_was_refused_is_not_missing_too(file: File) -> None:
    (problem,) = file.problems('[carriers.one]\nkind = "smpp"\nhost = ""\nsystem_id = "x"\n')
    assert problem.startswith("carriers.one.host (FILE): got ")


def test_all_problems_of_all_carriers_are_reported_at_once(file: File) -> None:
    problems = file.problems(
        f'[http]\nport = "x"\n[carriers.one]\n{SMPP}port = 0\nhots = "x"\n[carriers.two]\nkind = "x"\n'
        f"[carriers.three]\n{UPSTREAM}window = 0\n",
        {"HELIOGRAPH_CARRIERS__ONE__WINDOW": "0", "HELIOGRAPH_CARRIERS__TWO__PASSWORD": SECRET},
    )
    assert [problem.split()[0].rstrip(":") for problem in problems] == [
        "carriers.two.kind",
        "http.port",
        "carriers.one.port",
        "carriers.one.hots",
        "carriers.three.window",
        "carriers.one.window",
    ]


# ---------------------------------------------------------------------------------------------------------- environment


def test_the_environment_wins_over_the_file(file: File) -> None:
    settings = file.loaded(f"[carriers.agg-1]\n{SMPP}window = 5\n", {"HELIOGRAPH_CARRIERS__AGG_1__WINDOW": "7"})
    assert settings.carriers["agg-1"].window == 7


def test_a_value_that_must_be_given_may_come_from_the_environment(file: File) -> None:
    text = '[carriers.up]\nkind = "upstream"\nbase_url = "https://h"\n'
    settings = file.loaded(text, {"HELIOGRAPH_CARRIERS__UP__API_KEY": SECRET})
    assert settings.carriers["up"] == UpstreamSettings(base_url="https://h", api_key=SECRET)


def test_the_command_line_wins_over_the_environment(file: File) -> None:
    environ = {"HELIOGRAPH_CARRIERS__ONE__WINDOW": "7"}
    settings = file.loaded(f"[carriers.one]\n{SMPP}", environ, {"carriers.one.window": 8})
    assert settings.carriers["one"].window == 8


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        (
            "HELIOGRAPH_CARRIERS__ONE__PASSWRD",
            "no such setting; did you mean HELIOGRAPH_CARRIERS__ONE__PASSWORD?; a carrier is declared in the file",
        ),
        (
            "HELIOGRAPH_CARRIERS__TWO__PASSWORD",
            "no such setting; did you mean HELIOGRAPH_CARRIERS__ONE__PASSWORD?; a carrier is declared in the file",
        ),
        (
            "HELIOGRAPH_CARRIERS__ONE__KIND",
            "no such setting",
        ),
    ],
    ids=repr,
)
def test_a_variable_of_no_carrier_is_a_problem(variable: str, problem: str, file: File) -> None:
    (told,) = file.problems(f"[carriers.one]\n{SMPP}", {variable: SECRET})
    assert told.startswith(f"{variable}: {problem}")
    assert SECRET not in told


def test_a_variable_of_a_carrier_needs_the_carrier_in_the_file() -> None:
    with pytest.raises(BadSettings) as caught:
        load(environ={"HELIOGRAPH_CARRIERS__ONE__PASSWORD": SECRET})
    (problem,) = caught.value.problems
    assert problem.startswith("HELIOGRAPH_CARRIERS__ONE__PASSWORD: no such setting")
    assert problem.endswith("; a carrier is declared in the file")


# ------------------------------------------------------------------------------------------------ rules between values


@pytest.mark.parametrize(
    ("kind", "lines", "problem"),
    [
        (
            "smpp",
            'response_timeout = "30s"',
            'carriers.one.response_timeout: got "30s", wanted less than dispatch.lease, which is "30s"',
        ),
        (
            "upstream",
            "timeout = 31",
            'carriers.one.timeout: got "31s", wanted less than dispatch.lease, which is "30s"',
        ),
        (
            "smpp",
            'rebind_max = "500ms"',
            'carriers.one.rebind_max: got "500ms", wanted at least carriers.one.rebind_base, which is "1s"',
        ),
        (
            "smpp",
            'throttle_base = "2m"',
            'carriers.one.throttle_max: got "1m", wanted at least carriers.one.throttle_base, which is "2m"',
        ),
        (
            "smpp",
            'tls_ca_file = "ca.pem"',
            'carriers.one.tls_ca_file: got "ca.pem" while tls is false: nothing would be encrypted',
        ),
        (
            "smpp",
            'tls = true\ntls_key_file = "key.pem"',
            'carriers.one.tls_key_file: got "key.pem" without tls_cert_file',
        ),
        (
            "smpp",
            'mode = "transmitter"',
            'carriers.one.receipts: got true, wanted false: with mode "transmitter" nothing comes back',
        ),
        (
            "smpp",
            'gsm7 = "gsm7-packed"',
            'carriers.one.data_codings: no value means "gsm7-packed", which texts are written in; wanted one that does',
        ),
        (
            "smpp",
            'data_codings = { 0 = "latin1" }',
            'carriers.one.data_codings: no value means "gsm7", which texts are written in; wanted one that does',
        ),
        (
            "smpp",
            'data_codings = { 8 = "binary" }',
            'carriers.one.data_codings: no value means "ucs2", which texts are written in; wanted one that does',
        ),
        (
            "upstream",
            'callback_url = "https://me"',
            "carriers.one.public_key: missing, wanted one or more public keys of 32 bytes in base64, to verify what "
            "comes to carriers.one.callback_url",
        ),
    ],
    ids=repr,
)
def test_values_that_do_not_go_together_are_a_problem(kind: str, lines: str, problem: str, file: File) -> None:
    assert file.problems(f"[carriers.one]\n{VALID[kind]}{lines}\n") == [problem]


def test_values_that_go_together_are_none(file: File) -> None:
    lines = (
        'tls = true\ntls_cert_file = "c"\ntls_key_file = "k"\nmode = "transmitter"\nreceipts = false\n'
        'gsm7 = "latin1"\ndata_codings = { 0 = "latin1" }\nresponse_timeout = "29999ms"\n'
    )
    assert file.carrier("smpp", lines).tls_key_file == "k"


def test_a_longer_lease_leaves_room_for_a_slow_carrier(file: File) -> None:
    assert file.loaded(f'[dispatch]\nlease = "2m"\n[carriers.one]\n{SMPP}response_timeout = "1m"\n').carriers


def test_a_public_address_asks_upstreams_for_their_keys(file: File) -> None:
    text = f'[http]\npublic_url = "https://me"\n[carriers.one]\n{UPSTREAM}'
    (problem,) = file.problems(text)
    assert problem.startswith("carriers.one.public_key: missing, wanted ")
    assert problem.endswith("to verify what comes to http.public_url")
    assert file.loaded(f'{text}public_key = "{KEY}"\n').carriers


def test_an_upstream_is_reached_back_at_its_own_address_or_the_public_one(file: File) -> None:
    settings = file.loaded(
        f'[http]\npublic_url = "https://me"\n[carriers.one]\n{UPSTREAM}public_key = "{KEY}"\n'
        f'[carriers.two]\n{UPSTREAM}public_key = "{KEY}"\ncallback_url = "https://other/"\n'
    )
    assert [settings.callback_url(each) for each in upstreams(settings)] == ["https://me", "https://other"]


def upstreams(settings: Settings) -> list[UpstreamSettings]:
    return [each for each in settings.carriers.values() if isinstance(each, UpstreamSettings)]


def test_a_receipt_is_awaited_as_long_as_the_carrier_says_or_dispatch(file: File) -> None:
    settings = file.loaded(f'[carriers.one]\n{SMPP}unconfirmed_after = "1d"\n[carriers.two]\n{SMPP}')
    assert [settings.unconfirmed_after(each) for each in ("one", "two", "sandbox")] == [DAY, 4 * HOUR, 4 * HOUR]


@pytest.mark.parametrize(
    ("enabled", "sandbox", "paced"),
    [("auto", True, False), ("auto", False, True), ("on", True, True), ("off", False, False)],
)
def test_pacing_is_off_in_the_sandbox_unless_set(enabled: str, sandbox: bool, paced: bool) -> None:
    settings = load(environ={}, overrides={"pacing.enabled": enabled, "sandbox.enabled": sandbox})
    assert settings.paced is paced


def test_rates_are_the_provider_s_by_default() -> None:
    pacing = load(environ={}).pacing
    rates = (pacing.long_code, pacing.toll_free, pacing.short_code, pacing.alphanumeric, pacing.account)
    assert [SECOND / each for each in rates] == [0.1, 20, 1000, 0.1, 50]
    # Contract 8.1: caps are counted in parts.
    assert [pacing.queue // each for each in rates] == [1_440, 288_000, 14_400_000, 1_440, 720_000]
    assert describe(Settings())["pacing.account_mms"] == "15"
    assert describe(Settings())["pacing.campaign"] == "1.25"


# -------------------------------------------------------------------------------------------------------------- secrets


def shown(settings: Settings) -> str:
    return f"{settings!r}{settings}{describe(settings)}{changed(settings)}{dict(settings.carriers)!r}"


def test_no_secret_of_a_carrier_is_shown(file: File) -> None:
    settings = file.loaded(f'[carriers.one]\n{SMPP}password = "{SECRET}"\n[carriers.two]\n{UPSTREAM}')
    assert SECRET not in shown(settings)
    assert describe(settings)["carriers.one.password"] == "***"
    assert describe(settings)["carriers.two.api_key"] == "***"


@pytest.mark.parametrize(
    "text",
    [
        f'[carriers.one]\n{SMPP}password = "{SECRET * 10}"\n',
        f'[carriers.one]\n{SMPP}password = ["{SECRET}"]\n',
        f'[carriers.one]\n{SMPP}passwrd = "{SECRET}"\n',
        f'[carriers.one]\nkind = "upstream"\nbase_url = "https://u:{SECRET}@h"\napi_key = "{SECRET} x"\n',
        f'[carriers.one]\nkind = "upstream"\nbase_url = "u:{SECRET}@h"\napi_key = ""\n',
        f'[carriers.one]\npassword = "{SECRET}"\n',
    ],
)
def test_no_secret_of_a_carrier_is_in_a_problem(text: str, file: File) -> None:
    assert SECRET not in "".join(file.problems(text))


# ------------------------------------------------------------------------------------------------------ shown to people


def test_carriers_are_described_by_dotted_name(file: File) -> None:
    described = describe(
        file.loaded(f'[carriers.agg-1]\n{SMPP}throughput = "75/m"\ndata_codings = {{ 9 = "latin1" }}\n')
    )
    expected: dict[str, object] = {
        "carriers.agg-1.kind": "smpp",
        "carriers.agg-1.host": "smpp.example.com",
        "carriers.agg-1.throughput": "1.25",
        "carriers.agg-1.interface_version": "3.4",
        "carriers.agg-1.gsm7": "gsm7",
        "carriers.agg-1.data_codings": "9=latin1",
        "carriers.agg-1.receipt_zone": "UTC",
        "carriers.agg-1.long_code_ton": "auto",
    }
    assert described.items() >= expected.items()


def test_what_was_changed_is_told_without_the_rest(file: File) -> None:
    text = f'[http]\nport = 1\n[carriers.one]\n{SMPP}window = 20\npassword = "{SECRET}"\n[[routes]]\nname = "all"\n'
    assert changed(file.loaded(f'{text}carriers = ["one"]\n')) == {
        "http.port": 1,
        "carriers.one.kind": "smpp",
        "carriers.one.host": "smpp.example.com",
        "carriers.one.system_id": "acme",
        "carriers.one.password": "***",
        "carriers.one.window": 20,
        "routes.all": "all: one 1",
    }


def test_nothing_is_changed_by_default() -> None:
    assert changed(Settings()) == {}


def test_settings_can_be_replaced(file: File) -> None:
    settings = file.loaded(f"[carriers.one]\n{SMPP}")
    assert replace(settings, routes=()) == settings
    assert get_args(CarrierSettings) == tuple(KINDS.values())
