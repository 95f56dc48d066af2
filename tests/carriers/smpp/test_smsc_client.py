"""The scripted SMSC against a client that nobody here wrote."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from heliograph.carriers.smpp.smsc import Smsc
from heliograph.carriers.smpp.smsc_record import submits_in
from heliograph.carriers.smpp.smsc_script import Final, Script
from heliograph.carriers.smpp.status import Status

NODE_FOLDER = Path(__file__).parent / "node"

Start = Callable[..., Awaitable[Smsc]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an SMSC with a script."""
    async with AsyncExitStack() as until_end:

        async def started(script: Script | None = None, **options: Any) -> Smsc:
            return await until_end.enter_async_context(Smsc(script, **options))

        yield started


CLIENT = """
const smpp = require("smpp");
const [port, count] = process.argv.slice(1).map(Number);
const tell = (what) => console.log(JSON.stringify(what));
const session = smpp.connect({ url: `smpp://127.0.0.1:${port}`, auto_enquire_link_period: 50 }, () => {
  session.bind_transceiver({ system_id: "node", password: "secret" }, (bind) => {
    tell({ bind: bind.command_status, system_id: bind.system_id });
    for (let number = 1; number <= count; number += 1) {
      const submit = {
        source_addr: "15550002222", destination_addr: "15550001111", registered_delivery: 1,
        short_message: `Hello ${number}`,
      };
      session.submit_sm(submit, (answer) => tell({ number, status: answer.command_status, id: answer.message_id }));
    }
  });
});
let delivered = 0;
session.on("deliver_sm", (pdu) => {
  session.send(pdu.response());
  const text = pdu.short_message.message || pdu.short_message;
  tell({ receipt: pdu.receipted_message_id, state: pdu.message_state, text: text.toString(), from: pdu.source_addr });
  delivered += 1;
});
session.on("enquire_link", (pdu) => session.send(pdu.response()));
session.on("error", (error) => tell({ error: error.message }));
session.on("close", () => tell({ closed: true }));
process.stdin.on("data", () => session.unbind((answer) => {
  tell({ unbind: answer.command_status });
  session.close();
  process.exit(0);
}));
"""


class Client:
    """The npm client in a process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def told(self, name: str) -> Any:
        """Its next line with `name` in it; those before are passed over."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            if name in said:
                return said
        raise AssertionError(f"the client ended without a word of {name}")


@pytest.fixture
async def run_client() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Runs the npm client against a port, with so many submits at once."""
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules").is_dir():
        pytest.skip("Node.js or the package smpp is missing: run `make setup`")
    processes: list[asyncio.subprocess.Process] = []

    async def run(port: int, count: int = 1) -> Client:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            node, "-e", CLIENT, str(port), str(count), stdin=pipe, stdout=pipe, cwd=NODE_FOLDER
        )
        processes.append(process)
        return Client(process)

    yield run
    for each in processes:
        if each.returncode is None:
            each.kill()
        await each.communicate()


RunClient = Callable[..., Awaitable[Client]]


async def test_a_client_nobody_here_wrote_binds_submits_and_gets_its_receipts(
    start: Start, run_client: RunClient, tmp_path: Path
) -> None:
    smsc = await start(record=tmp_path / "record")
    client = await run_client(smsc.port, 100)
    assert await client.told("bind") == {"bind": 0, "system_id": "SMSC"}
    await smsc.wait_delivered(100)
    assert sorted(each.text for each in smsc.submits) == sorted(f"Hello {number}" for number in range(1, 101))
    assert list(submits_in(tmp_path / "record")) == list(smsc.submits)


async def test_it_reads_answers_and_receipts_as_they_were_meant(start: Start, run_client: RunClient) -> None:
    smsc = await start(Script(first_id=0xABC, final=Final.UNDELIV))
    client = await run_client(smsc.port)
    assert await client.told("number") == {"number": 1, "status": 0, "id": "abc"}
    receipt = await client.told("receipt")
    assert (receipt["receipt"], receipt["state"], receipt["from"]) == ("abc", 5, "15550001111")
    assert receipt["text"].startswith("id:abc sub:001 dlvrd:000 submit date:")


async def test_it_reads_refusals_and_messages(start: Start, run_client: RunClient) -> None:
    smsc = await start(Script(throttle_every=1))
    client = await run_client(smsc.port)
    assert (await client.told("number"))["status"] == Status.RTHROTTLED
    assert await smsc.send_mo("+15550001111", "+15550002222", "Good morning") == [0]
    assert (await client.told("text"))["text"] == "Good morning"


async def test_it_unbinds(start: Start, run_client: RunClient) -> None:
    smsc = await start()
    client = await run_client(smsc.port)
    await client.told("number")
    assert client.process.stdin is not None
    client.process.stdin.write(b"\n")
    assert await client.told("unbind") == {"unbind": 0}
    await smsc.wait_bound(0)
