// Webhooks as they arrive, by name, each given to every verifier of the SDK; what each objected to, or null, as JSON.
import Telnyx from 'telnyx';
import { TelnyxWebhook } from 'telnyx/lib/webhooks';

const webhooks = JSON.parse(process.argv[2]);

const verifiers = {
  keyOfCall: ({ body, headers, key }) => new Telnyx({ apiKey: 'KEY' }).webhooks.unwrap(body, { headers, key }),
  keyOfClient: ({ body, headers, key }) =>
    new Telnyx({ apiKey: 'KEY', publicKey: key }).webhooks.unwrap(body, { headers }),
  lib: ({ body, headers, key }) => new TelnyxWebhook(key).verify(body, headers),
};

const seen = {};
for (const [name, { body, headers, key }] of Object.entries(webhooks)) {
  seen[name] = {};
  const arrived = { body: Buffer.from(body, 'base64').toString(), headers, key };
  for (const [verifier, verify] of Object.entries(verifiers)) {
    try {
      await verify(arrived);
      seen[name][verifier] = null;
    } catch (error) {
      seen[name][verifier] = error.message;
    }
  }
}
console.log(JSON.stringify(seen));
