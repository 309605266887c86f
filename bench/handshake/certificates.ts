import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto'

/** What one end of the handshake shows, and the CA by which the other end verifies it; all PEM. */
export type Credential = { certificate: string; privateKey: string; caCertificate: string }

type Issuer = { name: string; key: KeyObject }
type Subject = { name: string; key: KeyObject; extensions: Buffer[] }

const ML_DSA_44 = 'ml-dsa-44'
const VALIDITY_DAYS = 1

/**
 * Makes, in memory, a certificate for each end, and for each of them a CA of its own; all keys are ML-DSA-44 (RFC 9881),
 * all certificates valid from an hour before `now` for a day.
 * Two CAs, because an end that trusts its own issuer would have OpenSSL verify and send its own chain at every
 * handshake: 4 KB and about a millisecond of CPU, both ends together, that a handshake does not need.
 */
export function makeCertificates(now: Date): { server: Credential; client: Credential } {
  return {
    server: makeCredential(now, 'localhost', [extendedKeyUsage(SERVER_AUTH), subjectAlternativeName()]),
    client: makeCredential(now, 'bench client', [extendedKeyUsage(CLIENT_AUTH)]),
  }
}

function makeCredential(now: Date, name: string, extensions: Buffer[]): Credential {
  const ca = { name: `CA of ${name}`, key: makePrivateKey() }
  const caExtensions = [basicConstraints(), keyUsage(KEY_CERT_SIGN), subjectKeyIdentifier(ca.key)]
  const key = makePrivateKey()
  const common = [keyUsage(DIGITAL_SIGNATURE), subjectKeyIdentifier(key), authorityKeyIdentifier(ca.key)]
  return {
    certificate: issue(ca, now, { name, key, extensions: [...common, ...extensions] }),
    privateKey: key.export({ format: 'pem', type: 'pkcs8' }),
    caCertificate: issue(ca, now, { ...ca, extensions: caExtensions }),
  }
}

function makePrivateKey(): KeyObject {
  return createPrivateKey({ key: randomBytes(32), format: 'raw-seed', asymmetricKeyType: ML_DSA_44 })
}

// X.509: RFC 5280 section 4.1, with the algorithm identifier of RFC 9881 section 2 (parameters absent).

const ALGORITHM = sequence(oid('2.16.840.1.101.3.4.3.17'))
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
// The DER of a BIT STRING's contents: the number of unused bits, then bit 0 as the highest.
const DIGITAL_SIGNATURE = [7, 0x80]
const KEY_CERT_SIGN = [2, 0x04]

function issue(issuer: Issuer, now: Date, subject: Subject): string {
  const notBefore = new Date(now.getTime() - 3_600_000)
  const notAfter = new Date(notBefore.getTime() + VALIDITY_DAYS * 86_400_000)
  const toBeSigned = sequence(
    element(0xa0, integer(Buffer.of(2))),
    integer(randomBytes(16)),
    ALGORITHM,
    distinguishedName(issuer.name),
    sequence(utcTime(notBefore), utcTime(notAfter)),
    distinguishedName(subject.name),
    createPublicKey(subject.key).export({ format: 'der', type: 'spki' }),
    element(0xa3, sequence(...subject.extensions)),
  )
  const signature = sign(null, toBeSigned, issuer.key)
  return toPem('CERTIFICATE', sequence(toBeSigned, ALGORITHM, bitString(signature)))
}

function distinguishedName(commonName: string): Buffer {
  return sequence(element(0x31, sequence(oid('2.5.4.3'), element(0x0c, Buffer.from(commonName)))))
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [element(0x01, Buffer.of(0xff))] : []
  return sequence(oid(id), ...flag, element(0x04, value))
}

function basicConstraints(): Buffer {
  return extension('2.5.29.19', true, sequence(element(0x01, Buffer.of(0xff)), integer(Buffer.of(0))))
}

function keyUsage(bits: number[]): Buffer {
  return extension('2.5.29.15', true, element(0x03, Buffer.from(bits)))
}

function extendedKeyUsage(purpose: string): Buffer {
  return extension('2.5.29.37', false, sequence(oid(purpose)))
}

function subjectAlternativeName(): Buffer {
  const names = [element(0x82, Buffer.from('localhost')), element(0x87, Buffer.of(127, 0, 0, 1))]
  return extension('2.5.29.17', false, sequence(...names))
}

function subjectKeyIdentifier(key: KeyObject): Buffer {
  return extension('2.5.29.14', false, element(0x04, keyIdentifier(key)))
}

function authorityKeyIdentifier(key: KeyObject): Buffer {
  return extension('2.5.29.35', false, sequence(element(0x80, keyIdentifier(key))))
}

/** RFC 7093 section 2, method 1: the leftmost 20 bytes of the public key's SHA-256. */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha256')
    .update(createPublicKey(key).export({ format: 'raw-public' }))
    .digest()
    .subarray(0, 20)
}

// DER: X.690, as much of it as the above needs.

function element(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  if (content.length < 0x80) return Buffer.concat([Buffer.of(tag, content.length), content])
  const length = minimalBytes(content.length)
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, content])
}

function sequence(...items: Uint8Array[]): Buffer {
  return element(0x30, ...items)
}

/** A non-negative integer, given as its big-endian bytes. */
function integer(magnitude: Buffer): Buffer {
  const firstUsed = magnitude.findIndex((byte) => byte !== 0)
  const minimal = firstUsed < 0 ? Buffer.of(0) : magnitude.subarray(firstUsed)
  return element(0x02, ...((minimal[0] ?? 0) >= 0x80 ? [Buffer.of(0)] : []), minimal)
}

function bitString(content: Uint8Array): Buffer {
  return element(0x03, Buffer.of(0), content)
}

/** Right until 2049 (RFC 5280 section 4.1.2.5.1). */
function utcTime(at: Date): Buffer {
  return element(0x17, Buffer.from(`${at.toISOString().slice(2, 19).replaceAll(/[-T:]/g, '')}Z`))
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const base128 = (arc: number): number[] => (arc < 0x80 ? [arc] : [...base128(arc >> 7).map(more), arc & 0x7f])
  return element(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

function more(byte: number): number {
  return byte | 0x80
}

function minimalBytes(value: number): Buffer {
  const hex = value.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
}

function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
