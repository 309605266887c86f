import { constants, type KeyObject, verify } from 'node:crypto'
import type { ParsedCertificate } from './parse-certificate.ts'

/** How a certificate is signed. `keyType` is that of the issuer's key. */
interface SignatureAlgorithm {
  keyType: 'rsa' | 'ec'
  hash: 'sha256' | 'sha384' | 'sha512'
  /** Of RSASSA-PSS: as long as the hash (RFC 4055 §3.1 recommends it; nothing else is taken). */
  saltLength?: number
}

const hashes = [
  { hash: 'sha256', saltLength: 32, identifier: '608648016503040201', rsa: '0b', ecdsa: '02' },
  { hash: 'sha384', saltLength: 48, identifier: '608648016503040202', rsa: '0c', ecdsa: '03' },
  { hash: 'sha512', saltLength: 64, identifier: '608648016503040203', rsa: '0d', ecdsa: '04' },
] as const

/**
 * By the AlgorithmIdentifier in DER, as hex: what is not in the table is not supported, whatever parameters say. RFC 4055 §5 (PKCS #1
 * v1.5; NULL may lack), §3.1 (PSS: MGF1 with the same hash; NULL and the default of the trailer may be written or not), RFC 5758 §3.2.
 */
const algorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  hashes.flatMap(({ hash, saltLength, identifier, rsa, ecdsa }): [string, SignatureAlgorithm][] => {
    const pkcs1 = `06092a864886f70d0101${rsa}`
    const pss = ['', '0500'].flatMap((parameters) =>
      ['', der('a3', der('02', '01'))].map((trailer) => {
        const digest = der('30', der('06', identifier) + parameters)
        const mask = der('30', `06092a864886f70d010108${digest}`)
        const salt = der('02', saltLength.toString(16))
        const values = der('a0', digest) + der('a1', mask) + der('a2', salt) + trailer
        return der('30', `06092a864886f70d01010a${der('30', values)}`)
      }),
    )
    return [
      [der('30', pkcs1), { keyType: 'rsa', hash }],
      [der('30', `${pkcs1}0500`), { keyType: 'rsa', hash }],
      [der('30', `06082a8648ce3d0403${ecdsa}`), { keyType: 'ec', hash }],
      ...pss.map((algorithm): [string, SignatureAlgorithm] => [algorithm, { keyType: 'rsa', hash, saltLength }]),
    ]
  }),
)

/** All of them are shorter than 128 bytes. */
function der(tag: string, content: string): string {
  return `${tag}${(content.length / 2).toString(16).padStart(2, '0')}${content}`
}

export function findSignatureAlgorithm(algorithmIdentifier: Uint8Array): SignatureAlgorithm | undefined {
  return algorithms.get(Buffer.from(algorithmIdentifier).toString('hex'))
}

/** The curves of ECDSA: P-256, P-384, P-521, as OpenSSL calls them. */
const curves = ['prime256v1', 'secp384r1', 'secp521r1']

/**
 * RSA of 2048 to 8192 bits with a public exponent from 65537 (FIPS 186-5 §5.4) to 2^32, or one of the three curves. The upper bounds
 * are about time: a verification with the largest key takes under a millisecond.
 */
export function isStrongKey({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = asymmetricKeyDetails
  if (asymmetricKeyType === 'ec') return curves.includes(namedCurve)
  if (asymmetricKeyType !== 'rsa') return false
  return modulusLength >= 2048 && modulusLength <= 8192 && publicExponent >= 65_537n && publicExponent < 2n ** 32n
}

/** ML-DSA-44, ML-DSA-65 or ML-DSA-87 (FIPS 204; RFC 9881 has their identifiers). */
export function isMlDsaKey({ asymmetricKeyType }: KeyObject): boolean {
  return ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'].includes(asymmetricKeyType ?? '')
}

/** Whether it is a signature by this key, of an algorithm in the table. The key's strength is another question. */
export function isSignedBy(
  { signatureAlgorithm, tbs, signature }: Pick<ParsedCertificate, 'signatureAlgorithm' | 'tbs' | 'signature'>,
  key: KeyObject,
): boolean {
  const algorithm = findSignatureAlgorithm(signatureAlgorithm)
  if (algorithm === undefined || key.asymmetricKeyType !== algorithm.keyType) return false
  const { hash, saltLength } = algorithm
  if (saltLength === undefined) return verify(hash, tbs, key, signature)
  return verify(hash, tbs, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature)
}
