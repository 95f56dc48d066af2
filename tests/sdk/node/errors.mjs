// Calls that are refused, by name; for each the class of the error, its status, its code and its pointer, as JSON.
import Telnyx from 'telnyx';

const { message, delivered, unknown, full } = JSON.parse(process.argv[2]);
const client = new Telnyx();
const { messages } = client;
const stranger = new Telnyx({ apiKey: 'KEY_wrong' });
const crowded = new Telnyx({ apiKey: full.key, maxRetries: 0 });

const refused = {
  badRequest: () => messages.send({ ...message, to: '12' }),
  wrongType: () => messages.send({ ...message, text: 5 }),
  tooEarly: () => messages.schedule({ ...message, send_at: '2020-01-01T00:00:00Z' }),
  noTime: () => messages.schedule(message),
  authentication: () => stranger.messages.send(message),
  permissionDenied: () => messages.cancelScheduled(delivered),
  notFound: () => messages.cancelScheduled(unknown),
  unprocessable: () => messages.send({ ...message, messaging_profile_id: unknown }),
  rateLimit: () => crowded.messages.schedule(full.message),
};

const seen = {};
for (const [name, call] of Object.entries(refused)) {
  try {
    await call();
    seen[name] = null;
  } catch (error) {
    const kinds = Object.keys(Telnyx).filter((kind) => error.constructor === Telnyx[kind]);
    const [first] = error.error.errors;
    seen[name] = [kinds, error.status, first.code, first.source?.pointer ?? null];
  }
}
console.log(JSON.stringify(seen));
