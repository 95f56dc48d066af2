// An SMSC on a port of the system's choice, which it prints once it listens. One argument, JSON, all of it optional:
// bindStatus, receipts, message (a text delivered at bind), throttleEvery, dropAfter, quietAfter, tls {key, cert}.
// It prints one JSON line for each thing that it is told.
const smpp = require("smpp");

const options = JSON.parse(process.argv[2] || "{}");
const tell = (what) => console.log(JSON.stringify(what));

function receipt(session, submit, id) {
  const delivery = {
    source_addr: submit.destination_addr,
    destination_addr: submit.source_addr,
    esm_class: 4,
    short_message: `id:${id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:`,
    receipted_message_id: id,
    message_state: 2,
  };
  session.deliver_sm(delivery, (answer) => tell({ receipt: id, status: answer.command_status }));
}

function serve(session) {
  let submits = 0;
  const bind = (pdu) => {
    const { command, system_id, system_type, interface_version } = pdu;
    tell({ bind: command, system_id, system_type, interface_version });
    if (options.bindStatus) return session.send(pdu.response({ command_status: options.bindStatus }));
    session.send(pdu.response({ system_id: "SMSC", sc_interface_version: 0x34 }));
    if (options.message) {
      const delivery = { source_addr: "15550001111", destination_addr: "15550002222", short_message: options.message };
      session.deliver_sm(delivery, (answer) => tell({ message: answer.command_status }));
    }
  };
  for (const name of ["bind_transceiver", "bind_transmitter", "bind_receiver"]) session.on(name, bind);
  session.on("submit_sm", (pdu) => {
    submits += 1;
    if (options.dropAfter && submits >= options.dropAfter) return session.destroy();
    if (options.quietAfter && submits > options.quietAfter) return;
    const throttled = options.throttleEvery && submits % options.throttleEvery === 0;
    if (throttled) return session.send(pdu.response({ command_status: 0x58 }));
    const id = `m${submits}`;
    if (options.show) tell({ submit: pdu.destination_addr, text: pdu.short_message, payload: pdu.message_payload });
    session.send(pdu.response({ message_id: id }));
    if (options.receipts && pdu.registered_delivery) receipt(session, pdu, id);
  });
  session.on("query_sm", (pdu) => session.send(pdu.response({ message_id: pdu.message_id, message_state: 2 })));
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

const server = smpp.createServer(options.tls ? { ...options.tls } : {}, serve);
server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
