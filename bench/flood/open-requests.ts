import { randomBytes } from 'node:crypto'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { addressText, FORWARDED_FOR, NOBODY, unknownId } from './forged-messages.ts'

/** Requests of anybody that cost something before anything is known of him, and others that cost as little as any. */
const requests = {
  'wrong tokens': { line: 'GET /v1/devices', authorization: `Bearer qf_${NOBODY}.${randomText(32)}` },
  enrolments: { line: 'POST /v1/enrollments', body: { token: `${NOBODY}.${randomText(32)}` } },
  completions: {
    line: `POST /v1/enrollments/${NOBODY}/complete`,
    body: {
      name: 'forged',
      kind: 'device',
      identityKey: { alg: 'ML-DSA-44', publicKey: randomText(1_312) },
      evidence: [{ format: 'none', claims: { x: randomText(12_000) } }],
      signature: randomText(2_420),
    },
  },
  renewals: {
    line: `POST /v1/sessions/${NOBODY}/tokens`,
    body: { deviceId: NOBODY, epoch: Math.floor(Date.now() / BUCKET_MS), nonce: randomText(32), proof: randomText(64) },
  },
  'trust bundles': { line: 'GET /v1/trust' },
  checkpoints: { line: 'GET /v1/audit/checkpoint' },
  'bucket certificates': { line: 'GET /v1/buckets' },
  'the API document': { line: 'GET /openapi.json' },
  'no tokens': { line: 'GET /v1/devices' },
  'unknown paths': { line: 'GET /nothing' },
} as const satisfies Record<string, OpenRequest>

export type OpenRequestName = keyof typeof requests
export const openRequestNames = Object.keys(requests) as OpenRequestName[]

interface OpenRequest {
  line: string
  authorization?: string
  body?: object
}

/** No two of those that name somebody are alike. `addresses`: as of forged messages. */
export function createOpenRequests(host: string, name: OpenRequestName, addresses: number): () => Buffer {
  const { line, authorization, body }: OpenRequest = requests[name]
  const text = body === undefined ? '' : JSON.stringify(body)
  const head = [
    `${line} HTTP/1.1`,
    `Host: ${host}`,
    ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
    ...(body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${text.length}`]),
    ...(addresses === 0 ? [] : [FORWARDED_FOR]),
    '',
    '',
  ].join('\r\n')
  const message = Buffer.from(head + text, 'latin1')
  const names = placesOf(message, NOBODY)
  const [addressAt = 0] = placesOf(message, '198.018.')
  let count = 0

  return () => {
    const forged = Buffer.from(message)
    count++
    for (const at of names) forged.write(unknownId(count), at, 'latin1')
    if (addresses > 0) forged.write(addressText(count % addresses), addressAt, 'latin1')
    return forged
  }
}

function placesOf(message: Buffer, text: string): number[] {
  const places: number[] = []
  for (let at = message.indexOf(text); at !== -1; at = message.indexOf(text, at + 1)) places.push(at)
  return places
}

function randomText(bytes: number): string {
  return toBase64url(randomBytes(bytes))
}
