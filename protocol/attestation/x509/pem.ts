import { malformedEvidence } from '../evidence-format.ts'

type PemKind = 'CERTIFICATE' | 'PUBLIC KEY' | 'X509 CRL'

const block = /-----BEGIN ([A-Z0-9 ]{1,64})-----([A-Za-z0-9+/=\s]*)-----END \1-----/g

/**
 * The blocks of one kind in a text of RFC 7468, in DER; what stands between them is not looked at, as OpenSSL writes names there. A block
 * of another kind is not passed over: it may be a private key. Untrusted. Throws `evidence_malformed`.
 */
export function parsePem(text: string, kind: PemKind): Uint8Array[] {
  const found = [...text.matchAll(block)]
  if (found.length !== text.split('-----BEGIN ').length - 1) throw malformedEvidence('A block of PEM is not whole.')
  return found.map(([, name = '', body = '']) => {
    if (name !== kind) throw malformedEvidence(`A block of PEM is a ${name}, not a ${kind}.`)
    const base64 = body.replace(/\s/g, '')
    const der = Buffer.from(base64, 'base64')
    if (der.length === 0 || der.toString('base64') !== base64) throw malformedEvidence('A block of PEM is no base64.')
    return new Uint8Array(der)
  })
}

export function toPem(der: Uint8Array, kind: PemKind): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${kind}-----`, ...lines, `-----END ${kind}-----`, ''].join('\n')
}
