// An SMSC on a port of the system's choice, which it prints once it listens. One argument, JSON, all of it optional:
// bindStatus, bindStatuses (of the first binds), receipts (true, or "first": before the answer), receipt (how it is
// written), message (a text delivered at bind), throttleEvery, throttle {from, count}, statuses (by number of submit),
// dropAfter, quietAfter, hold (answer nothing until told), state and queryStatus (of query_sm), tls {key, cert, ca, requestCert, ...}.
// It prints one JSON line for each thing that it is told, and takes one for each thing that it is to do:
// {deliver: fields, on: number of the session, hex: its octets}, {release: true}, {drop: true}.
const readline = require("readline");
const smpp = require("smpp");

const options = JSON.parse(process.argv[2] || "{}");
const tell = (what) => console.log(JSON.stringify(what));
const sessions = [];
const statuses = options.bindStatuses || [];
let held = [];
let taken = 0;
let seen = 0;

const receiptOf = {
  both: (id) => ({
    short_message: `id:${id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:`,
    receipted_message_id: id,
    message_state: 2,
  }),
  text: (id) => ({ short_message: `id:${id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:hi` }),
  parameters: (id) => ({ short_message: "", receipted_message_id: id, message_state: 2 }),
  failed: (id) => ({ short_message: `id:${id} sub:001 dlvrd:000 stat:UNDELIV err:001 text:hi` }),
  enroute: (id) => ({ short_message: `id:${id} stat:ENROUTE err:000` }),
  nameless: () => ({ short_message: "stat:DELIVRD err:000" }),
};

function receipt(session, submit, id) {
  const addresses = {
    source_addr_ton: submit.dest_addr_ton,
    source_addr_npi: submit.dest_addr_npi,
    source_addr: submit.destination_addr,
    dest_addr_ton: submit.source_addr_ton,
    dest_addr_npi: submit.source_addr_npi,
    destination_addr: submit.source_addr,
  };
  const delivery = { ...addresses, esm_class: 4, ...receiptOf[options.receipt || "both"](id) };
  session.deliver_sm(delivery, (answer) => tell({ receipt: id, status: answer.command_status }));
}

function textOf(pdu) {
  const message = pdu.message_payload || pdu.short_message || {};
  return { text: message.message === undefined ? message : message.message, udh: message.udh && Buffer.concat(message.udh).toString("hex") };
}

function answer(session, pdu, number) {
  const throttled = options.throttleEvery && number % options.throttleEvery === 0;
  const rest = options.throttle && seen > options.throttle.from && seen <= options.throttle.from + options.throttle.count;
  const status = throttled || rest ? 0x58 : (options.statuses || {})[seen] || 0;
  if (status) return session.send(pdu.response({ command_status: status }));
  taken += 1;
  const id = `m${taken}`;
  const reply = () => session.send(pdu.response({ message_id: id }));
  const wanted = options.receipts && pdu.registered_delivery;
  if (wanted && options.receipts === "first") receipt(session, pdu, id);
  if (options.hold) held.push(reply);
  else reply();
  if (wanted && options.receipts !== "first") receipt(session, pdu, id);
}

function serve(session) {
  let submits = 0;
  const bind = (pdu) => {
    const { command, system_id, system_type, interface_version } = pdu;
    tell({ bind: command, system_id, system_type, interface_version });
    const status = options.bindStatus || statuses.shift();
    if (status) return session.send(pdu.response({ command_status: status }));
    session.send(pdu.response({ system_id: "SMSC", sc_interface_version: 0x34 }));
    sessions.push(session);
    if (options.message) {
      const delivery = { source_addr: "15550001111", destination_addr: "15550002222", short_message: options.message };
      session.deliver_sm(delivery, (answer) => tell({ message: answer.command_status }));
    }
  };
  for (const name of ["bind_transceiver", "bind_transmitter", "bind_receiver"]) session.on(name, bind);
  session.on("submit_sm", (pdu) => {
    submits += 1;
    seen += 1;
    if (options.show) {
      const { destination_addr, source_addr, esm_class, data_coding, sar_msg_ref_num, sar_total_segments } = pdu;
      const sar = [sar_msg_ref_num, sar_total_segments, pdu.sar_segment_seqnum];
      tell({ submit: destination_addr, source_addr, esm_class, data_coding, sar, session: sessions.indexOf(session), more: pdu.more_messages_to_send, ...textOf(pdu) });
    }
    if (options.dropAfter && submits >= options.dropAfter) return session.destroy();
    if (options.quietAfter && submits > options.quietAfter) return;
    answer(session, pdu, submits);
  });
  session.on("query_sm", (pdu) => {
    const { queryStatus: command_status = 0, state: message_state = 2 } = options;
    session.send(pdu.response({ command_status, message_id: pdu.message_id, message_state }));
  });
  session.on("cancel_sm", (pdu) => session.send(pdu.response()));
  session.on("enquire_link", (pdu) => {
    tell({ enquire_link: true });
    session.send(pdu.response());
  });
  session.on("unbind", (pdu) => {
    tell({ unbind: true });
    session.send(pdu.response());
    session.close();
  });
  session.on("error", (error) => tell({ error: error.code || error.message }));
  session.on("close", () => tell({ closed: submits }));
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const wanted = JSON.parse(line);
  if (wanted.release) {
    for (const reply of held) reply();
    held = [];
  }
  if (wanted.drop) for (const session of sessions.splice(0)) session.destroy();
  if (wanted.deliver) {
    const fields = { ...wanted.deliver };
    if (wanted.hex) fields.short_message = Buffer.from(wanted.hex, "hex");
    sessions[wanted.on || 0].deliver_sm(fields, (answer) => tell({ delivered: wanted.name, status: answer.command_status }));
  }
});

const server = smpp.createServer(options.tls ? { ...options.tls } : {}, serve);
server.on("tlsClientError", (error) => tell({ tlsError: error.code || error.message }));
server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
