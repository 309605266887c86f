import { fromBase64url } from '../protocol/encoding.ts'
import { formatVerifierKey, noteSignatureKinds, type VerifierKey, verifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type TrustBundle, type TrustKey, verifyNextTrustBundle, verifyPinnedTrustBundle } from '../protocol/trust.ts'
import { QflareError } from './errors.ts'
import { MAX_TRUST_BYTES, trustAnswer } from './follow-trust.ts'
import type { HttpClient } from './http.ts'

/** What the trust bundles of a service say of its audit log. */
export interface AuditKeys {
  /** Name of the log, which is that of its keys too. */
  origin: string
  /** Every key that signs checkpoints or did, the oldest first; a key of the past verifies what was signed then. */
  keys: VerifierKey[]
  /** Those of the newest bundle. */
  current: VerifierKey[]
  /** The root key that vouches for the first bundle among these: the pin, or what the service itself names. */
  rootKid: string
}

/**
 * Every bundle verified against the one before; the first that has the root key `pin` against that, and those before it are left
 * out. Without a pin the service vouches for itself. Throws `trust_invalid`.
 */
export async function fetchAuditKeys(
  http: HttpClient,
  crypto: Primitives,
  { pin }: { pin?: string | undefined } = {},
): Promise<AuditKeys> {
  const { items } = await http.get('/v1/trust?after=0', trustAnswer, {
    pastCaches: true,
    maxAnswerBytes: MAX_TRUST_BYTES,
  })
  const [first, ...later] = pin === undefined ? items : fromPinned(items, pin)
  if (first === undefined) throw new QflareError('bad_answer', 'The answer has no trust bundle.')
  const rootKid = pin ?? rootKidOf(first)
  let newest = verifyPinnedTrustBundle(crypto, first, rootKid)
  const keys = new Map<string, VerifierKey>()
  let current = auditKeysOf(crypto, newest)
  for (const key of current) keys.set(formatVerifierKey(key), key)
  for (const next of later) {
    newest = verifyNextTrustBundle(crypto, newest, next)
    current = auditKeysOf(crypto, newest)
    for (const key of current) keys.set(formatVerifierKey(key), key)
  }
  return { origin: `${newest.trustDomain}/audit`, keys: [...keys.values()], current, rootKid }
}

/** All of them where none has it, so that the first is refused. */
function fromPinned(bundles: TrustBundle[], pin: string): TrustBundle[] {
  return bundles.slice(Math.max(0, bundles.findIndex(hasRoot)))

  function hasRoot({ keys }: TrustBundle): boolean {
    return keys.some(({ use, kid }) => use === 'root' && kid === pin)
  }
}

function rootKidOf(bundle: TrustBundle): string {
  const signers = bundle.signatures.map(({ kid }) => kid)
  return bundle.keys.find(({ use, kid }) => use === 'root' && signers.includes(kid))?.kid ?? ''
}

function auditKeysOf(crypto: Primitives, { trustDomain, keys }: TrustBundle): VerifierKey[] {
  return keys.flatMap((key) => {
    const kind = kindOf(key)
    return kind === undefined ? [] : verifierKey(crypto, `${trustDomain}/audit`, kind, fromBase64url(key.publicKey))
  })
}

function kindOf({ use, alg }: TrustKey): VerifierKey['kind'] | undefined {
  if (use !== 'audit') return undefined
  return (['cosignature', 'mlDsa87'] as const).find((kind) => noteSignatureKinds[kind].alg === alg)
}
