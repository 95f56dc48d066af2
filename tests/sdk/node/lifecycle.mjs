// A message sent and read, and a message scheduled, read, cancelled twice and read; what each call gave, as JSON.
import Telnyx from 'telnyx';

const { message, sendAt } = JSON.parse(process.argv[2]);
const { messages } = new Telnyx();

const sent = (await messages.send(message)).data;
const retrieved = (await messages.retrieve(sent.id)).data;
const scheduled = (await messages.schedule({ ...message, send_at: sendAt })).data;
const waiting = (await messages.retrieve(scheduled.id)).data;
const cancelled = await messages.cancelScheduled(scheduled.id);
const again = await messages.cancelScheduled(scheduled.id);
const gone = (await messages.retrieve(scheduled.id)).data;

console.log(JSON.stringify({ sent, retrieved, scheduled, waiting, cancelled, again, gone }));
