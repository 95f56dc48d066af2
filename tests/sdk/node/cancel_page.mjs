// The snippet of the cancel page; only the key and the id are the caller's. Where the server is says TELNYX_BASE_URL.
import Telnyx from 'telnyx';

const client = new Telnyx({
  apiKey: process.env.TELNYX_API_KEY,
});

const response = await client.messages.cancelScheduled(process.argv[2]);

console.log(response.id);
