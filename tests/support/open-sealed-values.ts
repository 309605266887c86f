// A process of its own: opens what it is given, a line `key nonce sealed` in base64 each, wipes it, says so, and stays.

import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'

const crypto = createNativePrimitives()
for (const line of (await text(process.stdin)).trim().split('\n')) {
  const [key, nonce, sealed] = line.split(' ').map((part) => new Uint8Array(Buffer.from(part, 'base64'))) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
  crypto.openAesGcm(key, nonce, sealed, new Uint8Array(0)).fill(0)
  await setImmediate()
}
console.log('done')
setInterval(() => {}, 60_000)
