import { createHash } from 'node:crypto'
import { type Corim, readCorim } from '../../protocol/attestation/corim/read-corim.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { readSignerKey } from './anchor-files.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { formatTime, printable, toList } from './print.ts'

export interface CorimFlags {
  /** A file. */
  signer: string | undefined
  unverified: boolean
  partial: boolean
}

/** What it is, beside its values. */
export interface CorimOfFile extends Omit<Corim, 'format' | 'values'> {
  /** SHA-256 of the key that it was verified with, a SubjectPublicKeyInfo, in hexadecimal. */
  signerKey: string | null
}

/** What the starter policies call them. */
const names: Readonly<Partial<Record<string, string>>> = { psa: 'firmware', 'sev-snp': 'guest', tdx: 'trust-domain' }

/** CBOR with a tag in front of it: no text of JSON begins like that. */
export function isCorim(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 0xe0) === 0xc0
}

/** Its values, with the name that they have unless another one is wanted. Exit code 4. */
export async function readCorimFile(
  path: string,
  bytes: Uint8Array,
  { signer: file, unverified, partial }: CorimFlags,
  now: number,
): Promise<Pick<Corim, 'format' | 'values'> & { name: string; corim: CorimOfFile }> {
  const signer = file === undefined ? undefined : await readSignerKey(file, now)
  try {
    const { format, values, ...corim } = readCorim(bytes, { now, signer, unverified, partial })
    const signerKey = signer === undefined ? null : createHash('sha256').update(signer).digest('hex')
    return { format, values, name: names[format] ?? format, corim: { ...corim, signerKey } }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const advice = adviceOf(error.message)
    throw new CommandError(exitCodes.localState, `${path}: ${printable(error.message)}${advice}`, error.code)
  }
}

function adviceOf(message: string): string {
  if (message.endsWith('no key is given to verify that with.'))
    return ' --signer FILE names one; --unverified takes it all the same.'
  return message.endsWith('would allow more.') ? ' --partial leaves it out; say it in the policy.' : ''
}

/** What it is, by whom, and what is not taken of it. */
export function corimLines(corim: CorimOfFile, now: number): string[] {
  const { id, profile, signerName, isVerified, signerKey, notAfterAt, notTaken } = corim
  const signed =
    signerName === null
      ? 'by nobody'
      : isVerified
        ? `by ${signerName}, verified with the key of SHA-256 ${signerKey}`
        : `by ${signerName}, it says: that is not verified`
  const list = toList([
    ['CoRIM', id],
    ['profile', profile],
    ['signed', signed],
    ['good', notAfterAt === null ? 'without an end' : `until ${formatTime(notAfterAt, now)}: remove its values then`],
  ])
  return [list, ...notTaken.map((what) => `not taken: ${printable(what)}`)]
}
