import { type Checkpoint, verifyCheckpointSignature } from '../../protocol/log/checkpoint.ts'
import { parseSignatureLine } from '../../protocol/log/signed-note.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import { formatWitnessRequest, type WitnessRequest } from '../../protocol/log/witness-request.ts'
import type { Primitives } from '../../protocol/primitives.ts'

export interface WitnessAddress {
  /** The submission prefix, without a slash at its end. */
  url: string
  /** Of ML-DSA-44, kind `cosignature`. */
  key: VerifierKey
}

/** What a witness says that keeps to C2SP tlog-witness. Only a cosignature is authenticated. */
export type WitnessReply =
  | { kind: 'cosigned'; line: string }
  /** It holds a tree of this size, or with the old size that was given another root. */
  | { kind: 'conflict'; heldSize: number }
  /** It holds a tree of the old size, which this one does not continue. */
  | { kind: 'inconsistent' }

const TIMEOUT_MS = 10_000
/** A cosignature has some 3.3 KB; a witness may sign with several keys. */
const MAX_ANSWER_BYTES = 64 << 10

/**
 * One `add-checkpoint`. A cosignature is verified over `checkpoint`, which is what the request's note says. Rejects with what is
 * wrong for any other answer, and for none within 10 seconds.
 */
export async function askWitness(
  crypto: Primitives,
  { url, key }: WitnessAddress,
  checkpoint: Checkpoint,
  request: WitnessRequest,
  signal: AbortSignal,
): Promise<WitnessReply> {
  const response = await fetch(`${url}/add-checkpoint`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: formatWitnessRequest(request),
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  })
  const text = await readText(response)
  if (response.status === 200) return { kind: 'cosigned', line: findCosignature(crypto, text, checkpoint, key) }
  if (response.status === 409) return { kind: 'conflict', heldSize: parseSize(response, text) }
  if (response.status === 422) return { kind: 'inconsistent' }
  throw new Error(`it answered ${response.status}`)
}

/** Lines of keys that are not known are ignored. */
function findCosignature(crypto: Primitives, text: string, checkpoint: Checkpoint, key: VerifierKey): string {
  if (!text.endsWith('\n')) throw new Error('its answer does not end with a newline')
  for (const line of text.slice(0, -1).split('\n')) {
    const signature = verifyCheckpointSignature(crypto, checkpoint, parseSignatureLine(line), key)
    if (signature === undefined) continue
    // A time of 0 says nothing of this being the largest tree.
    if (!signature.at) throw new Error('its cosignature has no time')
    return signature.line
  }
  throw new Error('it did not sign with its key')
}

function parseSize(response: Response, text: string): number {
  const size = Number(/^(0|[1-9]\d{0,15})\n$/.exec(text)?.[1] ?? Number.NaN)
  const isSize = response.headers.get('content-type')?.split(';')[0]?.trim() === 'text/x.tlog.size'
  if (!isSize || !Number.isSafeInteger(size)) throw new Error('it answered 409 without the size that it holds')
  return size
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
