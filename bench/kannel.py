"""Kannel, a gateway in C, the whole way: HTTP, SMPP to the npm SMSC, receipts, callbacks.

    load --HTTP--> smsbox --> bearerbox --SMPP--> SMSC
    receiver <--callbacks-- smsbox <-- bearerbox <--receipts--

It keeps messages in its file store, which is written but not synced, and what it knows of receipts in memory: a power
loss takes both. It logs as Heliograph does here, warnings only.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from bench.arrivals import Arrivals, receiver
from bench.burst import RECIPIENT, SERIAL
from bench.measure import Processes
from bench.passage import Gateway, PassageOptions, show, take_turns
from bench.smsc.process import Missing, Smsc, smsc

TEXT = f"Reminder {SERIAL}: your appointment is tomorrow at 10:00. Reply C to call it off."
WINDOW = 64
DELIVERED_OR_FAILED = 1 | 2
TAKEN_BY_SMSC = 8
"""Bits of `dlr-mask` (Kannel userguide, "Delivery reports"): what is worth a callback."""
_SENDER = "18445550001"
_START_SECONDS = 20
_STOP_SECONDS = 10
_CONFIGURATION = """
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {smsbox}
log-file = "{folder}/bearerbox.log"
log-level = 2
box-allow-ip = "127.0.0.1"
dlr-storage = internal
store-type = file
store-location = "{folder}/kannel.store"

group = smsc
smsc = smpp
smsc-id = NPM
allowed-smsc-id = NPM
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = bench
smsc-password = secret
system-type = ""
max-pending-submits = {window}
throughput = 0

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
global-sender = 13013
log-file = "{folder}/smsbox.log"
log-level = 2

group = sendsms-user
username = bench
password = secret
concatenation = true
max-messages = 10

group = sms-service
keyword = default
text = "No service specified"
"""


def run(options: PassageOptions) -> None:
    """Kannel alone, with one callback for a message and with two. Raises `Missing`."""
    with ExitStack() as until_end:
        peer, arrivals = until_end.enter_context(smsc(receipts=True)), until_end.enter_context(receiver())
        one = until_end.enter_context(kannel(peer, arrivals))
        two = gateway(one.ports, one.processes, peer, arrivals, callbacks=2)
        take_turns([one, two], options)
        show([one, two], options)


@contextmanager
def kannel(peer: Smsc, arrivals: Arrivals) -> Iterator[Gateway]:
    """A running Kannel that calls back once for each message. Raises `Missing`."""
    programs = [_program(name) for name in ("bearerbox", "smsbox")]
    with TemporaryDirectory(prefix="kannel-bench-") as name, ExitStack() as until_end:
        folder = Path(name)
        admin, smsbox, sendsms = free_ports(3)
        configuration = folder / "kannel.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                admin=admin, smsbox=smsbox, sendsms=sendsms, smsc=peer.port, folder=folder, window=WINDOW
            )
        )
        processes: dict[str, Processes] = {}
        for program, port in zip(programs, (smsbox, sendsms), strict=True):
            pid = until_end.enter_context(_box(program, configuration, port))
            processes[program.name] = Processes(pid)
        yield gateway([sendsms], processes, peer, arrivals, callbacks=1)


def gateway(
    ports: list[int], processes: Mapping[str, Processes], peer: Smsc, arrivals: Arrivals, *, callbacks: int
) -> Gateway:
    """How a Kannel that runs is measured."""
    return Gateway(
        name=f"Kannel {_version()}, {callbacks} callback{'s' if callbacks > 1 else ''}",
        ports=ports,
        request=_request(ports[0], arrivals.port, DELIVERED_OR_FAILED | (TAKEN_BY_SMSC if callbacks > 1 else 0)),
        answer="HTTP/1.1 202 ",
        callbacks=callbacks,
        smsc=peer,
        arrivals=arrivals,
        processes=processes,
    )


def _request(port: int, callback_port: int, mask: int) -> str:
    text = quote(TEXT, safe="{}")
    # Kannel puts the kind of receipt in place of %d.
    callback = quote(f"http://127.0.0.1:{callback_port}/{mask}?id={SERIAL}&kind=%d", safe="{}")
    query = f"username=bench&password=secret&smsc=NPM&from={_SENDER}&to={RECIPIENT}&text={text}"
    target = f"/cgi-bin/sendsms?{query}&dlr-mask={mask}&dlr-url={callback}"
    return f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, all different."""
    with ExitStack() as until_end:
        made = [until_end.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in made]


def _version() -> str:
    told = subprocess.run([_program("bearerbox"), "--version"], capture_output=True, text=True, check=True).stdout
    return told.partition("`")[2].partition("'")[0]


def _program(name: str) -> Path:
    """Debian puts them where only root looks. Raises `Missing`."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise Missing(f"Kannel's {name} is not installed (Debian: apt-get install kannel kannel-extras)")
    return Path(found)


@contextmanager
def _box(program: Path, configuration: Path, port: int) -> Iterator[int]:
    """One of Kannel's processes, once it listens on a port: its process id."""
    output = configuration.with_name(f"{program.name}.out")
    with output.open("wb") as file, subprocess.Popen([program, configuration], stdout=file, stderr=file) as process:
        try:
            _wait_until_listening(process, port, output)
            yield process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            process.kill()


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"{output.stem} did not start: {output.read_text(errors='replace')[-2_000:]}")
