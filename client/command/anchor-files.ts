import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { parsePem, toPem } from '../../protocol/attestation/x509/pem.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { formatTime } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'

const MAX_PEM_BYTES = 256 << 10
const MAX_KEYS_BYTES = 64 << 20

export interface DeviceKey {
  instanceId: string
  /** base64url of a SubjectPublicKeyInfo. */
  publicKey: string
  name?: string | undefined
}

/** The certificates of a file in PEM, or the one in DER. Exit code 4. */
export async function readCertificates(path: string): Promise<Uint8Array[]> {
  const found = readBlocks(path, await readRegularFile(path, MAX_PEM_BYTES), 'CERTIFICATE')
  if (found.length === 0) throw unusable(`${path} holds no certificate.`)
  return found
}

/** The key of one device, as base64url. Exit code 4. */
export async function readPublicKey(path: string): Promise<string> {
  const found = readBlocks(path, await readRegularFile(path, MAX_PEM_BYTES), 'PUBLIC KEY')
  if (found.length !== 1) throw unusable(`${path} holds ${found.length} public keys, not one.`)
  return toText(found[0] as Uint8Array)
}

/** The key that somebody signs with, a SubjectPublicKeyInfo: in PEM, alone or in a certificate. Exit code 4. */
export async function readSignerKey(path: string, now: number): Promise<Uint8Array> {
  const bytes = await readRegularFile(path, MAX_PEM_BYTES)
  const kind = bytes.includes('-----BEGIN CERTIFICATE-----') ? 'CERTIFICATE' : 'PUBLIC KEY'
  const [der, ...more] = bytes[0] === 0x30 ? [] : readBlocks(path, bytes, kind)
  if (der === undefined || more.length > 0)
    throw unusable(`${path} does not hold one public key or certificate in PEM.`)
  if (kind === 'PUBLIC KEY') return der
  try {
    warnOfValidity(der, path, now)
    return new X509Certificate(der).publicKey.export({ format: 'der', type: 'spki' })
  } catch (error) {
    throw unusable(`The certificate of ${path} cannot be read (${String(error)}).`)
  }
}

const keyList = z
  .array(z.strictObject({ instanceId: z.string(), publicKey: z.string().min(1), name: z.string().optional() }))
  .min(1)

/** The keys of many devices: JSON, each with its instance id, and the key in PEM or base64url. Exit code 4. */
export async function readKeyList(path: string): Promise<DeviceKey[]> {
  const text = new TextDecoder().decode(await readRegularFile(path, MAX_KEYS_BYTES))
  const { success, data, error } = keyList.safeParse(parseJson(path, text))
  if (!success) throw unusable(`${path} is no list of keys:\n${z.prettifyError(error)}`)
  return data.map(({ instanceId, publicKey, name }, index) => {
    if (!publicKey.startsWith('-----BEGIN ')) return { instanceId, publicKey, name }
    const [der] = readBlocks(`Key ${index + 1} of ${path}`, Buffer.from(publicKey), 'PUBLIC KEY')
    return { instanceId, publicKey: toText(der as Uint8Array), name }
  })
}

export function toBundle(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => toPem(der, 'CERTIFICATE')).join('')
}

/** What is wrong with the validity of a certificate, if anything is: it may be trusted all the same. */
export function warnOfValidity(der: Uint8Array, name: string, now: number): void {
  const { validFromDate, validToDate } = new X509Certificate(der)
  if (validToDate.getTime() < now)
    console.error(
      `${name} has expired (${formatTime(validToDate.getTime(), now)}): nothing that leads to it is good now.`,
    )
  if (validFromDate.getTime() > now)
    console.error(`${name} is not valid yet (from ${formatTime(validFromDate.getTime(), now)}).`)
}

export function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) throw unusable(`${path} is not JSON: ${error.message}.`)
    throw error
  }
}

/** DER begins with a SEQUENCE, and PEM with text. */
function readBlocks(path: string, bytes: Buffer, kind: 'CERTIFICATE' | 'PUBLIC KEY'): Uint8Array[] {
  if (bytes[0] === 0x30) return [bytes]
  try {
    return parsePem(bytes.toString('latin1'), kind)
  } catch (error) {
    if (error instanceof ProtocolError) throw unusable(`${path}: ${error.message}`)
    throw error
  }
}

function toText(der: Uint8Array): string {
  return Buffer.from(der).toString('base64url')
}
