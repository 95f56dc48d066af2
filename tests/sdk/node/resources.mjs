// Every other way to send, a group read back, and profiles; what each call gave, as JSON.
import Telnyx from 'telnyx';

const { to, abroad, longCode, shortCode, alphanumeric, profile } = JSON.parse(process.argv[2]);
const { messages, messagingProfiles } = new Telnyx();
const text = 'Hello, World!';
const data = async (call) => (await call).data;

const sends = {
  longCode: await data(messages.sendLongCode({ from: longCode, to, text })),
  shortCode: await data(messages.sendShortCode({ from: shortCode, to, text })),
  numberPool: await data(messages.sendNumberPool({ messaging_profile_id: profile, to, text })),
  groupMms: await data(messages.sendGroupMms({ from: longCode, to: [to, '+18665550002'], text })),
  alphanumeric: await data(
    messages.sendWithAlphanumericSender({ from: alphanumeric, to: abroad, text, messaging_profile_id: profile }),
  ),
};
const group = await data(messages.retrieveGroupMessages(sends.groupMms.id));

const made = [];
for (const name of ['Node 1', 'Node 2', 'Node 3']) {
  made.push(await data(messagingProfiles.create({ name, whitelisted_destinations: ['US'] })));
}
const read = await data(messagingProfiles.retrieve(made[0].id));
const listed = [];
for await (const each of messagingProfiles.list({ 'page[size]': 2, 'filter[name][contains]': 'Node' })) {
  listed.push(each.name);
}

console.log(JSON.stringify({ sends, group, made, read, listed }));
