"""Machines of their own on one network: namespaces joined by a switch, which drops what a cut names.

    this process --+            +-- database
                   +-- switch --+
         carrier --+            +-- node, node

A process that is started on a machine sees this network and no other. What a cut drops vanishes on the way, and neither
end is told, as with a router that fails or a firewall that was changed: no refusal, no reset. Only root can make it.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

MOST = 250
"""Networks that may be there at one time."""
TOOLS = ("ip", "nft", "nsenter")
_ROOT = Path(__file__).resolve().parents[2]
_PACKETS = re.compile(r"counter packets (\d+) ").findall


class NoNetwork(RuntimeError):
    """This machine lets us make none; the text says why."""


class CommandFailed(RuntimeError):
    """A tool of the system did not do what it was told to."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One of a network."""

    name: str
    address: str
    namespace: str

    def running(self, command: Sequence[str]) -> tuple[str, ...]:
        """The command that runs this one there, in the same process."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}", *command)


Way = tuple[Machine, Machine]
"""From one to another."""


def both(one: Machine, *others: Machine) -> list[Way]:
    """Between one and each of the others, there and back."""
    return [*to(one, *others), *back(one, *others)]


def to(one: Machine, *others: Machine) -> list[Way]:
    """What one says."""
    return [(one, each) for each in others]


def back(one: Machine, *others: Machine) -> list[Way]:
    """What it is told."""
    return [(each, one) for each in others]


@dataclass(slots=True)
class Cut:
    """Ways on which nothing arrives."""

    ways: Sequence[Way]
    dropped: int = 0
    """Packets; known when it is over."""


class Network:
    """Whom one machine reaches of the others is up to its cuts; this process is one of them, `here`."""

    def __init__(self, number: int, until_end: ExitStack) -> None:
        self._name = f"hg{number}"
        self._subnet = f"10.231.{number}"
        self._switch = f"{self._name}-switch"
        self._until_end = until_end
        self._hosts = count(1)
        self._tables = count(1)
        self.here = Machine("clients", self._address(), "")
        self._begin()

    def machine(self, name: str) -> Machine:
        """A new one, joined to the others."""
        made = Machine(name, self._address(), f"{self._name}-{name}")
        self._namespace(made.namespace)
        _ip(f"link add name {name} netns {self._switch} type veth peer name eth0 netns {made.namespace}")
        _ip(f"-n {made.namespace} address add {made.address}/24 dev eth0")
        _ip(f"-n {made.namespace} link set eth0 up")
        _ip(f"-n {made.namespace} link set lo up")
        self._plug(name)
        return made

    @contextmanager
    def cut(self, *ways: Way) -> Iterator[Cut]:
        """Drop everything that goes these ways, until the end."""
        table, made = f"cut{next(self._tables)}", Cut(ways)
        rules = "\n".join(f"ip saddr {a.address} ip daddr {b.address} counter drop" for a, b in ways)
        chain = f"chain passing {{\ntype filter hook prerouting priority 0;\n{rules}\n}}"
        self._nft(f"table bridge {table} {{\n{chain}\n}}")
        try:
            yield made
        finally:
            made.dropped = sum(map(int, _PACKETS(self._nft(f"list table bridge {table}"))))
            self._nft(f"delete table bridge {table}")

    def _begin(self) -> None:
        # What a process left behind that was killed: its number is free again.
        for each in _ip("netns list").split():
            if each.startswith(f"{self._name}-"):
                _ip(f"netns delete {each}")
        _ip(f"link delete {self._name}", may_fail=True)
        self._namespace(self._switch)
        _ip(f"-n {self._switch} link add switch type bridge")
        _ip(f"-n {self._switch} link set switch up")
        _ip(f"link add name {self._name} type veth peer name {self.here.name} netns {self._switch}")
        self._until_end.callback(_ip, f"link delete {self._name}", may_fail=True)
        _ip(f"address add {self.here.address}/24 dev {self._name}")
        _ip(f"link set {self._name} up")
        self._plug(self.here.name)

    def _address(self) -> str:
        return f"{self._subnet}.{next(self._hosts)}"

    def _namespace(self, name: str) -> None:
        _ip(f"netns add {name}")
        self._until_end.callback(_ip, f"netns delete {name}", may_fail=True)

    def _plug(self, port: str) -> None:
        _ip(f"-n {self._switch} link set dev {port} master switch up")

    def _nft(self, command: str) -> str:
        return _run(["ip", "netns", "exec", self._switch, "nft", command])


@contextmanager
def network() -> Iterator[Network]:
    """A network for as long as it is needed; several processes may have one each. Raises `NoNetwork`."""
    if missing := [each for each in TOOLS if shutil.which(each) is None]:
        raise NoNetwork(f"not installed: {', '.join(missing)} (apt-get install iproute2 nftables util-linux)")
    if os.geteuid() != 0:
        raise NoNetwork("only root can make it")
    with ExitStack() as until_end:
        try:
            made = Network(until_end.enter_context(_number()), until_end)
            with made.cut(*to(made.here, made.here)):
                pass  # the kernel knows how to drop what passes a switch
        except CommandFailed as error:
            raise NoNetwork(str(error)) from error
        yield made


@contextmanager
def _number() -> Iterator[int]:
    """A number that no other process has: the system takes it back from one that is gone."""
    for number in range(MOST):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0heliograph-network-{number}")
            except OSError:
                continue
            yield number
            return
    raise NoNetwork(f"there are {MOST} networks already")


def _ip(words: str, *, may_fail: bool = False) -> str:
    return _run(["ip", *words.split()], may_fail=may_fail)


def _run(command: list[str], *, may_fail: bool = False) -> str:
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0 and not may_fail:
        raise CommandFailed(f"{' '.join(command)}: {made.stderr}")
    return made.stdout


@contextmanager
def postgres_on(machine: Machine) -> Iterator[tuple[str, str]]:
    """A new database there: its URL on the network, and by its socket, which no cut concerns."""
    command = machine.running([sys.executable, "-m", "tests.databases", "--listen", machine.address])
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            yield f"postgresql://postgres@{machine.address}/postgres", keeper.stdout.readline().strip()
        finally:
            keeper.stdin.close()
