import { listAuditKeys, toVerifierKeys } from '../protocol/log/audit-keys.ts'
import { logOrigin } from '../protocol/log/checkpoint.ts'
import { formatVerifierKey, type VerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type TrustBundle, verifyNextTrustBundle, verifyPinnedTrustBundle } from '../protocol/trust.ts'
import { QflareError } from './errors.ts'
import { MAX_TRUST_BYTES, trustAnswer } from './follow-trust.ts'
import type { HttpClient } from './http.ts'

/** What the trust bundles of a service say of its audit log. */
export interface AuditKeys {
  /** Name of the log, which is that of its keys too. */
  origin: string
  /**
   * Every key that signs checkpoints, did or soon will, the oldest first, each with the time in which its signature counts: a key
   * that was retired verifies what was signed until then.
   */
  keys: VerifierKey[]
  /** Those of the newest bundle: the one that signs, its successor where one is published, and for some time those before it. */
  current: VerifierKey[]
  /** The root key that vouches for the first bundle among these: the pin, or what the service itself names. */
  rootKid: string
}

/** More rotations than there will be. */
const MAX_BUNDLES = 10_000

/**
 * Every bundle verified against the one before; the first that has the root key `pin` against that, and those before it are left
 * out. Without a pin the service vouches for itself. Throws `trust_invalid`.
 */
export async function fetchAuditKeys(
  http: HttpClient,
  crypto: Primitives,
  { pin }: { pin?: string | undefined } = {},
): Promise<AuditKeys> {
  const [first, ...later] = fromPinned(await fetchBundles(http), pin)
  if (first === undefined) throw new QflareError('bad_answer', 'The answer has no trust bundle.')
  const rootKid = pin ?? rootKidOf(first)
  const bundles = [verifyPinnedTrustBundle(crypto, first, rootKid)]
  let newest = first
  for (const next of later) {
    newest = verifyNextTrustBundle(crypto, newest, next)
    bundles.push(newest)
  }
  const origin = logOrigin(newest.trustDomain)
  const keys = toVerifierKeys(crypto, origin, listAuditKeys(bundles))
  const newestLines = toVerifierKeys(crypto, origin, listAuditKeys([newest])).map(formatVerifierKey)
  const current = keys.filter((key) => newestLines.includes(formatVerifierKey(key)))
  return { origin, keys, current, rootKid }
}

async function fetchBundles(http: HttpClient): Promise<TrustBundle[]> {
  const bundles: TrustBundle[] = []
  for (;;) {
    const path = `/v1/trust?after=${bundles.at(-1)?.sequence ?? 0}`
    const options = { pastCaches: true, maxAnswerBytes: MAX_TRUST_BYTES }
    const { items, nextCursor } = await http.get(path, trustAnswer, options)
    bundles.push(...items)
    if (nextCursor === null || items.length === 0 || bundles.length > MAX_BUNDLES) return bundles
  }
}

/** All of them where none has it, so that the first is refused. */
function fromPinned(bundles: TrustBundle[], pin: string | undefined): TrustBundle[] {
  const isPinned = ({ keys }: TrustBundle) => keys.some(({ use, kid }) => use === 'root' && kid === pin)
  return pin === undefined ? bundles : bundles.slice(Math.max(0, bundles.findIndex(isPinned)))
}

function rootKidOf(bundle: TrustBundle): string {
  const signers = bundle.signatures.map(({ kid }) => kid)
  return bundle.keys.find(({ use, kid }) => use === 'root' && signers.includes(kid))?.kid ?? ''
}
