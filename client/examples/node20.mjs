// The built package in a plain script, on Node 20 or newer:
//
//   npm install /path/to/qflare-0.1.0.tgz
//   node node20.mjs http://127.0.0.1:8470 edge-1.json < device.token
import { createHash } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { createFileStore, enrollDevice } from 'qflare'

const [url, path] = process.argv.slice(2)
const token = await text(process.stdin)

const device = await enrollDevice({ url, token, name: 'edge-1', store: createFileStore(path) })
await device.exchange()
const { sessionId, epoch, key } = await device.key('encryption')

// What `qflare key` shows on the other end: the first 16 bytes of the key's SHA3-256.
const fingerprint = createHash('sha3-256').update(key).digest('hex').slice(0, 32)
console.log(JSON.stringify({ node: process.version, sessionId, epoch, fingerprint }))
