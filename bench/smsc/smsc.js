// An SMSC for benchmarks, on the npm package `smpp`, on a port of the system's choice, which it prints once it listens.
// It ends when its standard input does. Each line there is answered with what came since the last one: submits, how many
// of them differ in recipient or text, receipts given, and receipts acknowledged with status 0.
// One argument, JSON: receipts (whether it gives them).
const readline = require("readline");
const smpp = require("smpp");

const options = JSON.parse(process.argv[2] || "{}");
const tell = (what) => console.log(JSON.stringify(what));
const AT_ONCE = 8;
let serial = 0;
let counted;

const begin = () => {
  counted = { submits: 0, receipts: 0, acknowledged: 0, different: new Set() };
};

const twoDigits = (number) => String(number).padStart(2, "0");

function minute() {
  const now = new Date();
  const fields = [now.getUTCFullYear() % 100, now.getUTCMonth() + 1, now.getUTCDate(), now.getUTCHours()];
  return [...fields, now.getUTCMinutes()].map(twoDigits).join("");
}

function receipt(session, submit, id) {
  const date = minute();
  const text = `id:${id} sub:001 dlvrd:001 submit date:${date} done date:${date} stat:DELIVRD err:000 text:`;
  const delivery = {
    source_addr: submit.destination_addr,
    destination_addr: submit.source_addr,
    esm_class: 4,
    short_message: text,
    receipted_message_id: id,
    message_state: 2,
  };
  counted.receipts += 1;
  session.deliver_sm(delivery, (answer) => {
    if (answer.command_status === 0) counted.acknowledged += 1;
  });
}

// Answers leave eight at a time: a system call for each would be most of what this peer costs, and all that came at once
// answered at once would let client and peer work in turns, each idle while the other has the whole window.
function gather(session) {
  if (!session.gathered) {
    session.gathered = 0;
    session.socket.cork();
    setImmediate(release, session);
  }
  session.gathered += 1;
}

function release(session) {
  if (session.gathered === 0) return;
  session.gathered = 0;
  session.socket.uncork();
}

function serve(session) {
  const bind = (pdu) => session.send(pdu.response({ system_id: "SMSC", sc_interface_version: 0x34 }));
  for (const name of ["bind_transceiver", "bind_transmitter", "bind_receiver"]) session.on(name, bind);
  session.on("submit_sm", (pdu) => {
    gather(session);
    serial += 1;
    counted.submits += 1;
    if (options.receipts) counted.different.add(`${pdu.destination_addr} ${pdu.short_message.message}`);
    const id = `m${serial.toString(16)}`;
    session.send(pdu.response({ message_id: id }));
    if (options.receipts && pdu.registered_delivery) receipt(session, pdu, id);
    if (session.gathered >= AT_ONCE) release(session);
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on("error", (error) => console.error(`the link broke: ${error.code || error.message}`));
}

begin();
// Without Nagle's delay, by which an answer waits for the acknowledgement of the one before: 40 ms where the client is idle.
const server = smpp.createServer({ noDelay: true }, serve);
server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
const input = readline.createInterface({ input: process.stdin });
input.on("line", () => {
  tell({ ...counted, different: counted.different.size });
  begin();
});
input.on("close", () => process.exit(0));
