// PAPI (polkadot-api) against a node, over the new specification's methods alone (no `ws` middleware that would fall
// back to older ones): `node --input-type=module - URL SURI RECIPIENT < papi.mjs`, run where its packages are
// installed. Prints one JSON object; test_clients.py says what must be in it.
import { decAnyMetadata } from '@polkadot-api/substrate-bindings';
import { Keyring } from '@polkadot/api';
import { createClient } from 'polkadot-api';
import { getPolkadotSigner } from 'polkadot-api/signer';
import { getWsRawProvider } from 'polkadot-api/ws';
import { WebSocket } from 'ws';

const [url, suri, recipient] = process.argv.slice(-3);
const HEADS = 20;
const AMOUNT = 4_000_000_000_000n;
const ENDPOINT = 'http://papi.example';

const client = createClient(getWsRawProvider(url, { websocketClass: WebSocket }));
const api = client.getUnsafeApi();
const pair = new Keyring({ type: 'sr25519' }).addFromUri(suri);
const signer = getPolkadotSigner(pair.publicKey, 'Sr25519', (message) => pair.sign(message));

// Numbers of the next best blocks; a reorganisation or a late notice may bring several at once.
function followHeads() {
  return new Promise((resolve, reject) => {
    const numbers = [];
    const subscription = client.bestBlocks$.subscribe({
      next: ([best]) => {
        if (numbers.at(-1) !== best.number) numbers.push(best.number);
        if (numbers.length < HEADS) return;
        subscription.unsubscribe();
        resolve(numbers);
      },
      error: reject,
    });
  });
}

// Signs, sends and waits for finality; the names of the extrinsic's events.
async function send(call) {
  const done = await call.signAndSubmit(signer);
  if (!done.ok) throw new Error(JSON.stringify(done.dispatchError));
  const events = done.events.map((event) => `${event.type}.${event.value.type}`);
  return { block: done.block.hash, events };
}

const { hash } = await client.getFinalizedBlock();
const metadata = decAnyMetadata(await client.getMetadata(hash)).metadata.value;
const heads = followHeads();
const transfer = api.tx.Balances.transfer_keep_alive({ dest: { type: 'Id', value: recipient }, value: AMOUNT });
const before = await api.query.System.Account.getValue(pair.address);
const fee = await transfer.getEstimatedFees(pair.address);
const sent = await send(transfer);
const endpoint = new TextEncoder().encode(ENDPOINT);
const called = await send(api.tx.Stakes.set_endpoint({ endpoint }));
const stored = await api.query.Stakes.Endpoints.getValue(pair.address);
const entries = await api.query.System.Account.getEntries();
const report = {
  pallets: metadata.pallets.map((pallet) => pallet.name),
  free: before.data.free.toString(),
  fee: fee.toString(),
  amount: AMOUNT.toString(),
  transfer: sent,
  call: called,
  endpoint: new TextDecoder().decode(stored),
  accounts: entries.length,
  heads: await heads,
};
console.log(JSON.stringify(report, (_, value) => (typeof value === 'bigint' ? value.toString() : value)));
client.destroy();
