import { X509Certificate } from 'node:crypto'
import { parsePem } from '../../protocol/attestation/x509/pem.ts'
import { QflareError } from '../errors.ts'
import { readAtMost } from '../read-at-most.ts'

/** Three certificates of AMD have 5 KiB in PEM. */
const MAX_FILE_BYTES = 64 * 1024

const MAX_ENTRIES = 32
const GUID_BYTES = 16
const ENTRY_BYTES = GUID_BYTES + 8

/**
 * What a host gives out with a report (GHCB 56421, "SNP Extended Guest Request"): entries of GUID, offset and length, little endian, up to
 * one that is all zero, and the certificates behind them. The host may put anything there: what is no certificate is passed over. Which
 * is which does not hang on the GUIDs, for signatures say it.
 */
export function parseCertificateTable(table: Uint8Array): X509Certificate[] {
  const bytes = Buffer.from(table)
  const found: X509Certificate[] = []
  for (let index = 0; index < MAX_ENTRIES; index++) {
    const entry = bytes.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES)
    if (entry.length < ENTRY_BYTES || entry.every((byte) => byte === 0)) break
    const offset = entry.readUInt32LE(GUID_BYTES)
    const length = entry.readUInt32LE(GUID_BYTES + 4)
    const certificates = parseCertificates(bytes.subarray(offset, offset + length))
    if (certificates instanceof Error) continue
    found.push(...certificates)
  }
  return found
}

/** Of files that an operator has put there, each in DER or PEM. Throws `certificates_missing`. */
export async function readCertificateFiles(paths: readonly string[]): Promise<X509Certificate[]> {
  const found = paths.map(async (path) => {
    const certificates = parseCertificates(await readAtMost(path, MAX_FILE_BYTES).catch((error: Error) => error))
    if (!(certificates instanceof Error)) return certificates
    const message = `${path} gives no certificates (${certificates.message}).`
    throw new QflareError('certificates_missing', message, { cause: certificates })
  })
  return (await Promise.all(found)).flat()
}

/** Why they are none, where they are none. */
function parseCertificates(bytes: Uint8Array | Error): X509Certificate[] | Error {
  if (bytes instanceof Error) return bytes
  const text = Buffer.from(bytes).toString('latin1')
  try {
    const ders = text.includes('-----BEGIN ') ? parsePem(text, 'CERTIFICATE') : [bytes]
    return ders.map((der) => new X509Certificate(der))
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
