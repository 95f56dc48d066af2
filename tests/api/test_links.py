"""Short links over the wire: what goes out, what stays, and what happens to whoever follows one."""

from collections.abc import Iterator
from typing import Any

import pytest

from heliograph.domain.accounts import Profile, UrlShortener
from tests.api.conftest import LINK_DOMAIN
from tests.webhook_receiver import Receiver
from tests.wire import MESSAGE, Accounts, Answer, Caller

LONG = "https://example.com/offer?a=1&b=2#" + "x" * 200
HOOK = "/hooks"
BASE = f"https://{LINK_DOMAIN}/"


class Owner:
    """An organisation whose messages have short links, and the numbers it writes to."""

    def __init__(self, accounts: Accounts, call: Caller, receiver: Receiver) -> None:
        self.accounts = accounts
        self.call = call
        self.receiver = receiver
        self.organization = accounts.organization()
        self.me = accounts.caller(accounts.key(self.organization))

    def profile(self, shortener: UrlShortener | None = None, **settings: Any) -> Profile:
        """A profile of it; its events go to the receiver."""
        wanted = shortener or UrlShortener(LINK_DOMAIN, send_webhooks=True)
        hook = {"webhook_url": self.receiver.url(HOOK)}
        return self.accounts.profile(self.organization, url_shortener_settings=wanted, **hook, **settings)

    def send(self, text: str, profile: Profile | None = None, **fields: Any) -> Answer:
        """Send from a new number of a profile."""
        sender = self.accounts.sender(profile or self.profile())
        return self.me.send(**{"from_": sender, "text": text, **fields})

    def arrived(self, answer: Answer, number: str = MESSAGE["to"]) -> str:
        """The text of a message as the handset got it."""
        self.call.settle()
        sender = answer.data["from"]["phone_number"]
        [text] = [each["text"] for each in self.call.handset(number) if each["from"] == sender]
        return str(text)

    def slug(self, answer: Answer) -> str:
        """The slug of the only link of a message."""
        return self.arrived(answer).removeprefix(BASE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def owner(accounts: Accounts, call: Caller, receiver: Receiver) -> Iterator[Owner]:
    made = Owner(accounts, call, receiver)
    with made.me:
        yield made


def follow(call: Caller, path: str, method: str = "GET", host: str = LINK_DOMAIN, **headers: str) -> Answer:
    """What a browser gets."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(method, path, headers={"Host": host, "Authorization": None, **named})


def own_domain(call: Caller) -> str:
    """The domain of the sandbox itself."""
    return str(call("GET", "/v2/messaging_url_domains").data[-1]["url_domain"])


def test_domains_are_listed_by_pages_and_the_sandbox_has_its_own(call: Caller, stranger: Caller) -> None:
    listed = call("GET", "/v2/messaging_url_domains").json
    assert [each["url_domain"] for each in listed["data"]] == [LINK_DOMAIN, own_domain(call)]
    assert {each["record_type"] for each in listed["data"]} == {"messaging_url_domain"}
    assert (listed["meta"]["total_results"], listed["meta"]["page_size"]) == (2, 20)
    second = stranger("GET", "/v2/messaging_url_domains?page[number]=2&page[size]=1").json
    assert (second["data"], second["meta"]["total_pages"]) == ([listed["data"][1]], 2)
    assert call("GET", "/v2/messaging_url_domains?page[size]=0").status == 400
    assert call("GET", "/v2/messaging_url_domains", headers={"Authorization": None}).status == 401


def test_the_handset_gets_a_short_link_and_the_caller_reads_what_they_wrote(owner: Owner) -> None:
    text = f"Look: {LONG}."
    sent = owner.send(text, owner.profile(UrlShortener(LINK_DOMAIN, "acme")))
    assert (sent.data["text"], sent.data["parts"], sent.data["num_chars"]) == (text, 1, len(text))
    arrived = owner.arrived(sent)
    assert arrived.startswith(f"Look: {BASE}acme/")
    assert arrived.endswith(".")
    assert owner.me.read(sent.data["id"])["text"] == text
    assert {each.data["payload"]["text"] for each in owner.receiver.at(HOOK)} == {text}
    led = follow(owner.call, arrived.removeprefix(f"Look: https://{LINK_DOMAIN}").removesuffix("."))
    assert (led.status, led.headers["location"], led.headers["cache-control"]) == (302, LONG, "no-store")


def test_the_sandbox_leads_on_by_itself(owner: Owner) -> None:
    domain = own_domain(owner.call)
    sent = owner.send(LONG, owner.profile(UrlShortener(domain)))
    arrived = owner.arrived(sent)
    assert arrived.startswith(f"http://{domain}/")
    led = follow(owner.call, arrived.removeprefix(f"http://{domain}"), host=domain)
    assert (led.status, led.headers["location"]) == (302, LONG)


def test_every_click_is_recorded_and_told_and_a_look_ahead_is_not(owner: Owner) -> None:
    sent = owner.send(LONG)
    slug = owner.slug(sent)
    assert follow(owner.call, f"/{slug}", "HEAD").status == 302
    assert follow(owner.call, f"/{slug}", user_agent="u" * 501).status == 302
    assert follow(owner.call, f"/other/{slug}", user_agent="Browser/1").status == 302
    owner.call.settle()
    clicks = owner.accounts.clicks(slug)
    assert [agent for _, agent in clicks] == ["u" * 500, "Browser/1"]
    told = [each.data for each in owner.receiver.at(HOOK) if each.data["record_type"] == "link_clicked"]
    whose = {"message_id": sent.data["id"], "to": MESSAGE["to"].removeprefix("+"), "url": LONG}
    wanted = [{**whose, "record_type": "link_clicked", "time_clicked": at} for at, _ in clicks]
    assert sorted(told, key=lambda each: each["time_clicked"]) == wanted
    listed = owner.me("GET", "/v2/webhook_deliveries?filter[event_type]=link_clicked").data
    shown = [each["webhook"] for each in listed]
    assert [each["payload"] for each in shown] == wanted[::-1]
    assert {(each["event_type"], each["record_type"]) for each in shown} == {("link_clicked", "event")}


def test_clicks_are_not_told_unless_that_is_wanted(owner: Owner) -> None:
    slug = owner.slug(owner.send(LONG, owner.profile(UrlShortener(LINK_DOMAIN))))
    assert follow(owner.call, f"/{slug}").status == 302
    owner.call.settle()
    assert len(owner.accounts.clicks(slug)) == 1
    assert {each.data["record_type"] for each in owner.receiver.at(HOOK)} == {"event"}


def test_everybody_of_a_group_has_links_of_their_own(owner: Owner) -> None:
    group = ["+13125550181", "+13125550182"]
    sent = owner.me.send(
        "/v2/messages/group_mms",
        from_=owner.accounts.sender(owner.profile()),
        to=group,
        text=f"{LONG} {LONG} https://example.org",
        media_urls=["https://example.com/a.png"],
    )
    links = [owner.arrived(sent, each).split(" ") for each in group]
    assert all(one == again != other for one, again, other in links)
    assert len({each for found in links for each in found}) == 4
    assert all(each.startswith(BASE) for found in links for each in found)


def test_only_public_shorteners_are_replaced_where_that_is_wanted(owner: Owner) -> None:
    only_public = owner.profile(UrlShortener(LINK_DOMAIN, replace_blacklist_only=True))
    arrived = owner.arrived(owner.send("https://bit.ly/x https://example.com/y", only_public))
    short, other = arrived.split(" ")
    assert (short.startswith(BASE), other) == (True, "https://example.com/y")


def test_what_goes_out_is_counted_and_encoded(owner: Owner) -> None:
    smart = owner.profile(smart_encoding=True)
    sent = owner.send(f"“Hi” https://example.com/{'ü' * 200}", smart)
    assert (sent.data["parts"], sent.data["encoding"], sent.data["smart_encoding_applied"]) == (1, "GSM-7", True)
    assert owner.arrived(sent).startswith(f'"Hi" {BASE}')
    link = f"{BASE}Abcdefghij"
    assert owner.send("x" * (159 - len(link)) + " http://a.example").data["parts"] == 1
    assert owner.send("x" * (160 - len(link)) + " http://a.example").data["parts"] == 2
    assert owner.send("http://a.example " * 90).refusal == (400, "40302", "/text")
    assert owner.send("http://a.example " * 101).refusal == (400, "40302", "/text")


def test_a_domain_that_is_not_set_up_is_refused_where_it_would_be_used(owner: Owner) -> None:
    gone = owner.profile(UrlShortener("gone.example.com"))
    assert owner.send("Without a link", gone).status == 200
    assert owner.send(LONG, gone).refusal == (400, "40327", "/messaging_profile_id")


def test_links_of_a_cancelled_message_lead_nowhere(owner: Owner) -> None:
    sender = owner.accounts.sender(owner.profile())
    at = owner.call.time(hours=1)
    kept, dropped = (owner.me.send("/v2/messages/schedule", from_=sender, text=LONG, send_at=at) for _ in range(2))
    slugs = [owner.accounts.slugs(each.data["id"])[0] for each in (kept, dropped)]
    assert owner.me.cancel(dropped.data["id"]).status == 200
    assert [follow(owner.call, f"/{each}").status for each in slugs] == [302, 404]


@pytest.mark.parametrize("path", ["/Abcdefghij", "/acme/Abcdefghij"])
def test_an_unknown_link_is_a_plain_page(call: Caller, path: str) -> None:
    answer = follow(call, path)
    assert (answer.status, answer.body) == (404, b"There is nothing behind this link.\n")
    assert answer.headers["content-type"].startswith("text/plain")
    assert follow(call, path, host=f"{LINK_DOMAIN.upper()}:443").body == answer.body


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/Abcdefghij", "other.example.com", 404),
        ("/messages/Abcdefghij", LINK_DOMAIN, 401),
        ("/a/b/Abcdefghij", LINK_DOMAIN, 404),
        ("/1bcdefghij", LINK_DOMAIN, 404),
        ("/v2/messages", LINK_DOMAIN, 405),
    ],
)
def test_what_is_no_short_link_is_the_apis(call: Caller, path: str, host: str, status: int) -> None:
    answer = follow(call, path, host=host)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")


def test_a_link_is_not_followed_by_a_post(call: Caller) -> None:
    assert follow(call, "/Abcdefghij", "POST").json["errors"][0]["code"] == "10005"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://münchen.example/straße", "https://xn--mnchen-3ya.example/stra%C3%9Fe"),
        ("https://example.com/%0d%0aSet-Cookie:a=b", "https://example.com/%0d%0aSet-Cookie:a=b"),
        ("https://example.com/?next=//evil.example", "https://example.com/?next=//evil.example"),
    ],
)
def test_a_link_leads_to_what_was_written_and_to_nothing_that_is_asked_for(
    owner: Owner, url: str, location: str
) -> None:
    slug = owner.slug(owner.send(url))
    led = follow(owner.call, f"/{slug}?url=https://evil.example", X_Forwarded_Host="evil.example")
    assert led.headers["location"] == location
    assert "set-cookie" not in led.headers
