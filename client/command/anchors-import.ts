import { anchoredFormats } from '../../protocol/attestation/trust-anchor-wish.ts'
import type { AddedTrustAnchors, QflareAttestationInputs } from '../attestation-inputs.ts'
import { isAnswerLost, QflareError } from '../errors.ts'
import {
  type DeviceKey,
  readCertificates,
  readKeyList,
  readPublicKey,
  toBundle,
  warnOfValidity,
} from './anchor-files.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { nameFlag } from './parse-values.ts'
import { printable, printResult } from './print.ts'
import { withProgress } from './progress.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

/** Of the route (docs/api.md). */
const MAX_KEYS = 500
const SHOWN = 20

export const anchorsImport = defineCommand({
  name: 'anchors import',
  positionals: ['FILE'],
  summary: 'Trusts the certificates of a file, as authorities of one format of evidence, or the keys of PSA devices.',
  flags: {
    format: {
      type: 'string',
      value: 'FORMAT',
      choices: anchoredFormats,
      help: 'of the evidence; default: psa for a .json file and with --instance-id, otherwise tpm2',
    },
    kind: {
      type: 'string',
      value: 'KIND',
      choices: ['root', 'intermediate'],
      help: 'of all certificates; default: what is its own issuer is a root, the others help to get to one',
    },
    'instance-id': {
      type: 'string',
      value: 'HEX',
      parse: (text: string) => (/^01[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : undefined),
      expects: '33 bytes in hexadecimal, the first of them 01',
      help: 'of the one PSA device whose public key FILE holds',
    },
    name: { ...nameFlag, help: 'for people; default: what a certificate says, or the instance id' },
  },
  examples: [
    'qflare anchors import our-tpm-ca.pem',
    'qflare anchors import ek-issuing-ca.der --kind root',
    'qflare anchors import key.pem --instance-id 01fa58…',
    'qflare anchors import keys.json',
    'qflare anchors import ark-milan.pem --format sev-snp',
  ],
  notes: `FILE is PEM with any number of certificates, or one in DER; for a PSA device its public key. A .json file has the keys of many: [{"instanceId": "01…", "publicKey": "PEM, or base64url of DER", "name"?}, …]. Whoever has the key of a trusted root says which devices are genuine: compare fingerprints with the manufacturer's before. What is trusted already stays as it is, so that an import can be repeated. ${operatorNotes}`,
  async run({ values, positionals: [path = ''] }) {
    const { kind, name, 'instance-id': instanceId } = values
    const format = values.format ?? (instanceId !== undefined || /\.json$/i.test(path) ? 'psa' : 'tpm2')
    if (format !== 'psa') {
      if (instanceId !== undefined) throw usageError('--instance-id is for keys of PSA devices.')
      const certificates = await readCertificates(path)
      const inputs = await openInputsOf(values)
      const added = await inputs.addTrustAnchors({ format, pem: toBundle(certificates), kind, name })
      warnOfItems(added)
      return report(values.json, added)
    }
    if (kind !== undefined) throw usageError('--kind is for certificates.')
    if (name !== undefined && instanceId === undefined) throw usageError('--name is for one key: give --instance-id.')
    const keys =
      instanceId === undefined ? await readKeyList(path) : [{ instanceId, publicKey: await readPublicKey(path), name }]
    return report(values.json, await addKeys(await openInputsOf(values), keys))
  },
})

export function warnOfItems({ items }: AddedTrustAnchors): void {
  const now = Date.now()
  for (const { trustAnchor } of items) {
    warnOfValidity(Buffer.from(trustAnchor.der, 'base64url'), printable(trustAnchor.name), now)
  }
}

export async function report(json: boolean | undefined, { items }: AddedTrustAnchors): Promise<undefined> {
  const lines = items.slice(0, SHOWN).map(({ isNew, trustAnchor: { id, kind, name, fingerprint } }) => {
    const known = isNew ? 'is trusted' : 'was trusted before'
    return `${id}  ${kind} ${printable(name)} ${known}; SHA-256 ${fingerprint}`
  })
  const rest = items.length > SHOWN ? [`… and ${(items.length - SHOWN).toLocaleString('en')} more`] : []
  const fresh = items.filter(({ isNew }) => isNew).length
  const total = `${fresh.toLocaleString('en')} of ${items.length.toLocaleString('en')} are new.`
  await printResult(json, { items }, [...lines, ...rest, total].join('\n'))
  return undefined
}

function addKeys(inputs: QflareAttestationInputs, keys: readonly DeviceKey[]): Promise<AddedTrustAnchors> {
  return withProgress(async (say) => {
    const items: AddedTrustAnchors['items'] = []
    for (let at = 0; at < keys.length; at += MAX_KEYS) {
      say(`${at.toLocaleString('en')} of ${keys.length.toLocaleString('en')} keys`)
      const batch = { format: 'psa', keys: keys.slice(at, at + MAX_KEYS) } as const
      const added = await inputs.addTrustAnchors(batch).catch((error: unknown) => {
        throw withRest(error, at, keys.length)
      })
      items.push(...added.items)
    }
    return { items }
  })
}

/** The error, and where it came. */
function withRest(error: unknown, at: number, total: number): unknown {
  if (!(error instanceof QflareError) || total <= MAX_KEYS) return error
  const { code, status, requestId, retryAfterSeconds } = error
  const lost = isAnswerLost(error) ? ', and perhaps the next ones,' : ''
  const message = `${error.message} The first ${at} of ${total} keys${lost} are trusted: the same import again goes on from there.`
  return new QflareError(code, message, { status, requestId, retryAfterSeconds, cause: error })
}
