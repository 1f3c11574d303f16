// The polkadot.js API against a node: `node --input-type=module - URL SURI RECIPIENT < polkadot_js.mjs`, run where
// its packages are installed. Prints one JSON object; test_clients.py says what must be in it.
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';

const [url, suri, recipient] = process.argv.slice(-3);
const HEADS = 20;
const AMOUNT = 3_000_000_000_000n;
const ENDPOINT = 'http://polkadot.js.example';

const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
const key = new Keyring({ type: 'sr25519' }).addFromUri(suri);

// Signs, sends and waits for finality; the names of the extrinsic's events.
function send(call) {
  return new Promise((resolve, reject) => {
    const statuses = [];
    call.signAndSend(key, ({ status, events, dispatchError }) => {
      statuses.push(status.type);
      if (dispatchError) reject(new Error(dispatchError.toString()));
      if (status.isDropped || status.isInvalid || status.isUsurped) reject(new Error(status.type));
      if (!status.isFinalized) return;
      const names = events.map(({ event }) => {
        const section = event.section.replace(/^./, (first) => first.toUpperCase());
        return `${section}.${event.method}`;
      });
      resolve({ block: status.asFinalized.toHex(), events: names, statuses });
    }).catch(reject);
  });
}

function followHeads() {
  return new Promise((resolve, reject) => {
    const numbers = [];
    api.rpc.chain.subscribeNewHeads((header) => {
      numbers.push(header.number.toNumber());
      if (numbers.length === HEADS) resolve(numbers);
    }).catch(reject);
  });
}

const heads = followHeads();
const transfer = api.tx.balances.transferKeepAlive(recipient, AMOUNT);
const before = await api.query.system.account(key.address);
const info = await transfer.paymentInfo(key);
const report = {
  pallets: api.runtimeMetadata.asLatest.pallets.map((pallet) => pallet.name.toString()),
  free: before.data.free.toString(),
  fee: info.partialFee.toString(),
  amount: AMOUNT.toString(),
  transfer: await send(transfer),
  call: await send(api.tx.stakes.setEndpoint(ENDPOINT)),
  endpoint: (await api.query.stakes.endpoints(key.address)).unwrap().toUtf8(),
  heads: await heads,
};
console.log(JSON.stringify(report));
await api.disconnect();
