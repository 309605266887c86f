import { z } from 'zod'
import { fromBase64url } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { keyId } from '../../protocol/key-id.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Primitives, SigningKey } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import {
  type TrustBundle,
  trustBundle,
  trustBundleBytes,
  verifyNextTrustBundle,
  verifyPinnedTrustBundle,
} from '../../protocol/trust.ts'
import {
  parseTrustFile,
  type RootOfTrustFile,
  rootOfTrustFile,
  type TrustDraftFile,
  trustDraftFile,
} from '../../protocol/trust-draft.ts'
import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { writeNewFile } from './new-file.ts'
import { printResult, toJson } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'
import { trustDifferenceText } from './trust-difference.ts'

/** Two bundles of 64 keys. */
const MAX_FILE_BYTES = 1 << 20

export const rootSign = defineCommand({
  name: 'root sign',
  summary:
    'Signs the next trust bundle with the root of trust, after it showed what that changes. Needs no service and no network.',
  isLocal: true,
  flags: {
    key: { type: 'string', value: 'FILE', help: 'the root of trust, as qflare root take-offline wrote it' },
    in: { type: 'string', value: 'FILE', help: 'what waits, as qflare root draft wrote it' },
    out: { type: 'string', value: 'FILE', help: 'a new file for the signed bundle' },
    ...yesFlag,
  },
  examples: ['qflare root sign --key qflare-root --in trust-draft.json --out trust-signed.json'],
  notes:
    'The bundle before it has to be signed by the same root of trust, and the next one may bring keys, end them sooner and take them out, nothing else. What only you can see is whether a rotation was due: compare the keys with qflare root status, asked for from another machine.',
  exitNotes: 'Here 1 means that the bundle may not be signed; 4 that a file is none of these.',
  async run({ values }) {
    const { key: keyPath, in: draftPath, out } = values
    if (keyPath === undefined || draftPath === undefined || out === undefined) {
      throw usageError('--key FILE, --in FILE and --out FILE name the root of trust, the draft and the new file.')
    }
    const crypto = await choosePrimitives()
    const draft = await readFile(draftPath, trustDraftFile)
    const root = openRoot(crypto, keyPath, await readFile(keyPath, rootOfTrustFile))
    requireSignable(crypto, draft, root)
    console.error(trustDifferenceText(draft.previous, draft.next))
    const { sequence, trustDomain } = draft.next
    await confirm(values.yes, async () => `Sign trust bundle ${sequence} of ${trustDomain} with ${root.kid}?`)
    const signed = sign(crypto, draft, root)
    await writeNewFile(out, `${toJson(z.encode(trustBundle, signed), 2)}\n`)
    const text = `Trust bundle ${sequence} is signed, in ${out}: qflare root submit ${out}`
    await printResult(values.json, { trustSequence: sequence, kid: root.kid, file: out }, text)
    return undefined
  },
})

interface Root {
  kid: string
  trustDomain: string
  key: SigningKey
}

function openRoot(crypto: Primitives, path: string, { kid, alg, seed, trustDomain }: RootOfTrustFile): Root {
  const bytes = fromBase64url(seed)
  const key = crypto.importSigningKey(alg, bytes)
  bytes.fill(0)
  if (keyId(crypto, alg, key.publicKey) !== kid) throw unusable(`${path} holds another key than it names.`)
  return { kid, trustDomain, key }
}

/** Throws `trust_invalid`. */
function requireSignable(crypto: Primitives, { previous, next }: TrustDraftFile, root: Root): void {
  verifyPinnedTrustBundle(crypto, previous, root.kid)
  if (next.trustDomain !== root.trustDomain) {
    throw new ProtocolError(
      'trust_invalid',
      `The root of trust is of ${root.trustDomain}, the bundle of ${next.trustDomain}.`,
    )
  }
}

/** Verified as a device would do it, before anybody gets it. */
function sign(crypto: Primitives, { previous, next }: TrustDraftFile, root: Root): TrustBundle {
  const signature = root.key.sign(trustBundleBytes(next), signatureContexts.trust)
  return verifyNextTrustBundle(crypto, previous, { ...next, signatures: [{ kid: root.kid, signature }] })
}

async function readFile<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
  const bytes = await readRegularFile(path, MAX_FILE_BYTES)
  try {
    return parseTrustFile(schema, bytes.toString('utf8'))
  } catch (error) {
    throw error instanceof ProtocolError ? unusable(`${path}: ${error.message}`) : error
  }
}
