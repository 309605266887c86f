import { createPublicKey, X509Certificate } from 'node:crypto'
import { QflareError } from '../errors.ts'
import { listNvIndices, listPersistentHandles } from './public-area.ts'
import type { TpmTools } from './tools.ts'

export const ekTypes = ['rsa', 'ecc'] as const
export type EkType = (typeof ekTypes)[number]

/**
 * Where manufacturers leave certificates (TCG EK Credential Profile 2.6, 2.2.1.4 and 2.2.1.5), the ones first that TPMs have most.
 * `algorithm`: of `tpm2 createek`, where that makes the key again; otherwise it has to be persistent.
 */
const certificateIndices: readonly { index: string; type: EkType; algorithm?: string }[] = [
  { index: '0x1c00002', type: 'rsa', algorithm: 'rsa' },
  { index: '0x1c0000a', type: 'ecc', algorithm: 'ecc' },
  { index: '0x1c00012', type: 'rsa' },
  { index: '0x1c00014', type: 'ecc' },
  { index: '0x1c00016', type: 'ecc', algorithm: 'ecc384' },
]
/** Certificates of authorities (2.2.1.5.2), each index with one or more behind each other. */
const chainIndices = /^0x1c001[0-9a-f]{2}$/

export interface EkCertificate {
  /** Of NV, in hexadecimal. */
  index: string
  /** DER. */
  certificate: Uint8Array
  /** DER, in the order of their indices; empty where the TPM keeps none. */
  chain: Uint8Array[]
}

/** Of this index, or the first that the TPM has. Throws `tpm_refused`. */
export async function readEkCertificate(
  tools: TpmTools,
  wanted: { index?: string | undefined; type?: EkType | undefined },
): Promise<EkCertificate> {
  const indices = await listNvIndices(tools)
  const found = certificateIndices.find(
    ({ index, type }) => indices.includes(index) && index === (wanted.index ?? index) && type === (wanted.type ?? type),
  )
  if (found === undefined) {
    const what = wanted.index ?? wanted.type?.toUpperCase() ?? 'any key'
    throw new QflareError(
      'tpm_refused',
      `The TPM holds no certificate of an endorsement key (${what}): its manufacturer left none.`,
    )
  }
  const chain: Uint8Array[] = []
  for (const index of indices.filter((index) => chainIndices.test(index)).sort()) {
    chain.push(...splitCertificates(await readNv(tools, index)))
  }
  const [certificate] = splitCertificates(await readNv(tools, found.index))
  if (certificate === undefined) throw new QflareError('tpm_refused', `There is no certificate in NV ${found.index}.`)
  return { index: found.index, certificate, chain }
}

/** The key of a certificate, ready to be used: a handle, or a file of a context. Throws `tpm_refused`. */
export async function loadEk(tools: TpmTools, { index, certificate }: EkCertificate): Promise<string> {
  for (const handle of await listPersistentHandles(tools)) {
    if (await isKeyOf(tools, handle, certificate)) return handle
  }
  const algorithm = certificateIndices.find((known) => known.index === index)?.algorithm
  if (algorithm !== undefined) {
    await tools.run('createek', '--key-algorithm', algorithm, '--ek-context', 'ek.ctx')
    await tools.flush()
    if (await isKeyOf(tools, 'ek.ctx', certificate)) return 'ek.ctx'
  }
  throw new QflareError('tpm_refused', `The TPM does not make the key of its certificate in NV ${index} again.`)
}

async function isKeyOf(tools: TpmTools, object: string, certificate: Uint8Array): Promise<boolean> {
  await tools.run('readpublic', '--object-context', object, '--format', 'der', '--output', 'object.der')
  await tools.flush()
  const key = createPublicKey({ key: Buffer.from(await tools.read('object.der')), format: 'der', type: 'spki' })
  return key.equals(new X509Certificate(certificate).publicKey)
}

/** By the authorization of the index itself, which these have by their profile: the owner may have a password. */
async function readNv(tools: TpmTools, index: string): Promise<Uint8Array> {
  await tools.run('nvread', index, '--hierarchy', index, '--output', 'nv')
  return tools.read('nv')
}

const SEQUENCE = 0x30
/** DER's mark of a length in two bytes, which certificates have. */
const LENGTH_IN_TWO_BYTES = 0x82

/** What an index holds may be longer than its certificates. */
export function splitCertificates(bytes: Uint8Array): Uint8Array[] {
  const certificates: Uint8Array[] = []
  for (let at = 0; bytes[at] === SEQUENCE && bytes[at + 1] === LENGTH_IN_TWO_BYTES; ) {
    const end = at + 4 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
    if (end > bytes.length) break
    certificates.push(bytes.slice(at, end))
    at = end
  }
  return certificates
}
