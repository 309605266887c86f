import { parsePem } from '../../protocol/attestation/x509/pem.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { AddedCollateral, CollateralRequest } from '../attestation-inputs.ts'
import { readCertificates, toBundle } from './anchor-files.ts'
import { recognizeCollateral } from './collateral-files.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { nameFlag } from './parse-values.ts'
import { formatTime, printable, printResult } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

/** Of the route (docs/api.md). */
const MAX_BYTES = 3 << 20
const MAX_CHAIN_BYTES = 64 << 10

export const collateralImport = defineCommand({
  name: 'collateral import',
  positionals: ['FILE'],
  summary: 'Imports a revocation list or a statement of a vendor, in the place of an older one.',
  flags: {
    chain: {
      type: 'string',
      value: 'FILE',
      help: 'certificates in PEM, or in PEM as a header of HTTP has it, that lead from its signature to a root, where they are not in it',
    },
    name: { ...nameFlag, help: 'for people; default: what it says itself' },
  },
  examples: [
    'qflare collateral import pck-crl.der',
    'qflare collateral import status.json',
    'qflare collateral import tcb-info.json --chain tcb-chain.pem',
  ],
  notes: `What FILE is shows in it: a revocation list in DER or PEM, or JSON of a vendor (docs/collateral.md has where to get each, and a line for cron). The same again changes nothing, and an older one than that which is there is refused. ${operatorNotes}`,
  async run({ values, positionals: [path = ''] }) {
    const bytes = await readRegularFile(path, MAX_BYTES)
    const { kind, wantsChain } = recognizeCollateral(path, bytes)
    if (wantsChain !== (values.chain !== undefined)) {
      throw usageError(wantsChain ? `A ${kind} needs its certificates: --chain FILE.` : `A ${kind} has no --chain.`)
    }
    const chain = values.chain === undefined ? undefined : toBundle(await readChain(values.chain))
    const request: CollateralRequest = { kind, body: toBody(path, kind, bytes), chain, name: values.name }
    const added = await (await openInputsOf(values)).addCollateral(request)
    await report(values.json, added)
    return undefined
  },
})

/** Intel gives it in a header, with percent signs. */
async function readChain(path: string): Promise<Uint8Array[]> {
  const text = (await readRegularFile(path, MAX_CHAIN_BYTES)).toString('latin1').trim()
  if (!text.startsWith('-----BEGIN%20')) return readCertificates(path)
  try {
    return parsePem(decodeURIComponent(text), 'CERTIFICATE')
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof URIError) throw unusable(`${path}: ${error.message}`)
    throw error
  }
}

/** Of a list in PEM its DER; everything else as it is. */
function toBody(path: string, kind: string, bytes: Buffer): string {
  if (kind !== 'crl' || bytes[0] === 0x30) return bytes.toString('base64url')
  try {
    const [der, ...more] = parsePem(bytes.toString('latin1'), 'X509 CRL')
    if (der === undefined || more.length > 0) throw unusable(`${path} does not hold one revocation list.`)
    return Buffer.from(der).toString('base64url')
  } catch (error) {
    if (error instanceof ProtocolError) throw unusable(`${path}: ${error.message}`)
    throw error
  }
}

async function report(json: boolean | undefined, added: AddedCollateral): Promise<void> {
  const { id, kind, name, issuedAt, nextUpdateAt } = added.collateral
  const now = Date.now()
  const ends = nextUpdateAt === null ? 'names no end' : `good until ${formatTime(nextUpdateAt, now)}`
  const known = added.isNew ? 'is imported' : 'was there before'
  const line = `${id}  ${kind} ${printable(name)} ${known}: issued ${formatTime(issuedAt, now)}, ${ends}`
  if (nextUpdateAt !== null && nextUpdateAt < now) {
    console.error(
      'It is out of date: evidence is appraised as the policy says of what nobody can tell. Fetch a newer one.',
    )
  }
  await printResult(json, added, line)
}
