import type { TrustAnchor } from '../../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../../protocol/attestation/x509/parse-certificate.ts'
import { der, derId, derSequence, derText } from '../der.ts'
import { type CertificateChanges, makePath, type PathPosition, type TestExtension, testExtensions } from '../x509.ts'
import type { SoftwareTpm } from './software-tpm.ts'

/** directoryName of a TPM: each attribute in an RDN of its own, or all in one. */
export function tpmNames(
  given: Partial<Record<'manufacturer' | 'model' | 'version', string>>,
  { critical = true, inOne = false, tag = 0xa4 } = {},
): TestExtension {
  const ids = { manufacturer: '2.23.133.2.1', model: '2.23.133.2.2', version: '2.23.133.2.3' }
  const attributes = Object.entries(given).map(([name, text]) =>
    derSequence(derId(ids[name as keyof typeof ids]), derText(text)),
  )
  const sets = inOne ? [der(0x31, ...attributes)] : attributes.map((attribute) => der(0x31, attribute))
  return { id: '2.5.29.17', critical, value: derSequence(der(tag, derSequence(...sets))) }
}

export const testTpmModel = { manufacturer: 'id:00001014', model: 'swtpm', version: 'id:20191023' }

/** Certificate of an EK with its authorities; `leaf` may be given other extensions and whatever else. */
export function certifyEk(
  { ekPublic, ekPrivate, options }: Pick<SoftwareTpm, 'ekPublic' | 'ekPrivate' | 'options'>,
  changes: Partial<Record<PathPosition, CertificateChanges>> = {},
) {
  const { basicConstraints, keyUsage, extendedKeyUsage } = testExtensions
  const use = options.ek === 'RSA-2048' ? 'keyEncipherment' : 'keyAgreement'
  return makePath({
    leafKey: { publicKey: ekPublic, privateKey: ekPrivate },
    ...changes,
    leaf: {
      subject: '',
      extensions: [basicConstraints(false), keyUsage(use), extendedKeyUsage('2.23.133.8.1'), tpmNames(testTpmModel)],
      ...changes.leaf,
    },
  })
}

export function anchorOf(certificate: Uint8Array, kind: TrustAnchor['kind'] = 'root'): TrustAnchor {
  return { lookupId: parseCertificate(certificate).subjectId, kind, der: certificate }
}
