// An edge node: enrols once, keeps its keys fresh until it is stopped, and encrypts a payload under the epoch's key.
//
//   node client/examples/edge-node.ts http://127.0.0.1:8470 edge-1.json < device.token
//
// The token is read at the first start only. In a project of your own the first import is `from 'qflare'`.
import { text } from 'node:stream/consumers'
import { createFileStore, type DeviceKey, enrollDevice, openDevice, type QflareDevice, QflareError } from '../qflare.ts'

const [url = 'http://127.0.0.1:8470', path = 'edge-1.json'] = process.argv.slice(2)
const store = createFileStore(path)

async function openOrEnroll(): Promise<QflareDevice> {
  try {
    return await openDevice({ store })
  } catch (error) {
    if (!(error instanceof QflareError && error.code === 'not_enrolled')) throw error
  }
  const token = await text(process.stdin)
  return enrollDevice({ url, token, name: 'edge-1', store })
}

/** A new nonce for every payload; receiver and epoch are found by what stands beside the ciphertext and is covered by its tag. */
async function encrypt({ sessionId, epoch, key }: DeviceKey, payload: string) {
  const aes = await crypto.subtle.importKey('raw', key.subarray(0, 32), 'AES-GCM', false, ['encrypt'])
  key.fill(0)
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const additionalData = new TextEncoder().encode(JSON.stringify([sessionId, epoch]))
  const plaintext = new TextEncoder().encode(payload)
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, aes, plaintext)
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  return { sessionId, epoch, iv: base64(iv), ciphertext: base64(new Uint8Array(sealed)) }
}

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())

const device = await openOrEnroll()
console.log(JSON.stringify(await device.status()))

await device.keepFresh({
  signal: stop.signal,
  async onExchange() {
    console.log(JSON.stringify(await encrypt(await device.key('encryption'), 'gradients of round 7')))
  },
  onError: (error, retryInMs) =>
    console.error(`${error.code}: ${error.message} Again in ${Math.ceil(retryInMs / 1000)} s.`),
})
