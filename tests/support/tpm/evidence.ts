import type { ExpectedEvidence, TrustAnchor } from '../../../protocol/attestation/evidence-format.ts'
import { tpm2 } from '../../../protocol/attestation/formats/tpm2.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { CERTIFICATE_NOW, type CertificateChanges, type PathPosition } from '../x509.ts'
import { activateCredential } from './activate-credential.ts'
import { anchorOf, certifyEk } from './ek-authority.ts'
import {
  type AkKind,
  makeSoftwareTpm,
  type QuoteOptions,
  type SoftwareTpm,
  type SoftwareTpmOptions,
  type TestPcrs,
} from './software-tpm.ts'
import { hashOf, type TpmHash, tpm2b } from './structures.ts'

export const TEST_BINDING = Buffer.alloc(32, 0xb1)

export const akKinds = {
  'RSASSA, SHA-256': { key: 'RSA-2048', scheme: 'rsassa', hash: 'sha256', nameHash: 'sha256' },
  'RSASSA, SHA-384': { key: 'RSA-2048', scheme: 'rsassa', hash: 'sha384', nameHash: 'sha256' },
  'RSAPSS, SHA-256': { key: 'RSA-2048', scheme: 'rsapss', hash: 'sha256', nameHash: 'sha256' },
  'RSAPSS, SHA-384': { key: 'RSA-2048', scheme: 'rsapss', hash: 'sha384', nameHash: 'sha384' },
  'ECDSA P-256, SHA-256': { key: 'P-256', scheme: 'ecdsa', hash: 'sha256', nameHash: 'sha256' },
  'ECDSA P-384, SHA-384': { key: 'P-384', scheme: 'ecdsa', hash: 'sha384', nameHash: 'sha384' },
} as const satisfies Record<string, AkKind>
export type AkKindName = keyof typeof akKinds

/** What was measured, per PCR: the same in each bank. */
export const testEvents = [
  { pcr: 0, text: 'firmware 1.2.0' },
  { pcr: 2, text: 'option ROM' },
  { pcr: 4, text: 'shim' },
  { pcr: 4, text: 'grub' },
  { pcr: 7, text: 'SecureBoot=1' },
]

/** As they are after the events; those without any are zero. */
export function pcrsAfter(
  events: readonly { pcr: number; text: string }[],
  banks: readonly ('sha256' | 'sha384')[] = ['sha256'],
): TestPcrs {
  const endOf = (bank: TpmHash, pcr: number): Uint8Array =>
    events
      .filter((event) => event.pcr === pcr)
      .reduce<Uint8Array>(
        (value, { text }) => hashOf(bank, value, hashOf(bank, Buffer.from(text))),
        Buffer.alloc(bank === 'sha256' ? 32 : 48),
      )
  const bankOf = (bank: TpmHash) =>
    Object.fromEntries(
      [0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => [String(pcr), Buffer.from(endOf(bank, pcr)).toString('hex')]),
    )
  return Object.fromEntries(banks.map((bank) => [bank, bankOf(bank)]))
}

export const testPcrs = pcrsAfter(testEvents)

export interface TestEvidence {
  tpm: SoftwareTpm
  evidence: Record<string, Json>
  anchors: readonly TrustAnchor[]
  expected: ExpectedEvidence
}

export interface EvidenceOptions extends Partial<SoftwareTpmOptions> {
  quote?: Partial<QuoteOptions>
  certificates?: Partial<Record<PathPosition, CertificateChanges>>
  /** Members to add or replace; `undefined` leaves one away. */
  members?: Record<string, Json | undefined>
}

export const toText = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')

/** Evidence of an enrolment, whose credential was made and opened, with one change or none. */
export function makeEvidence(options: EvidenceOptions = {}): TestEvidence {
  const { quote, certificates, members = {}, ...tpmOptions } = options
  const tpm = makeSoftwareTpm({ ek: 'P-256', ak: akKinds['ECDSA P-256, SHA-256'], ...tpmOptions })
  const path = certifyEk(tpm, certificates)
  const anchors = [anchorOf(path.root)]
  const quoted = tpm.quote({ binding: TEST_BINDING, pcrs: testPcrs, ...quote })
  const keys = {
    ekCertificate: toText(path.leaf),
    ekChain: [toText(path.intermediate)],
    akPublic: toText(tpm2b(tpm.akArea)),
  }
  const secret = Buffer.alloc(32, 0x5e)
  const activation = { attesterId: ekIdOf(tpm), state: { akName: tpm.akName.toString('hex') }, secret }
  const evidence = {
    format: 'tpm2',
    ...keys,
    quote: toText(quoted.quote),
    signature: toText(quoted.signature),
    pcrs: quoted.pcrs as Json,
    activatedSecret: toText(secret),
    ...members,
  }
  return {
    tpm,
    evidence: JSON.parse(JSON.stringify(evidence)) as Record<string, Json>,
    anchors,
    expected: {
      binding: TEST_BINDING,
      identityKey: new Uint8Array(1312),
      now: CERTIFICATE_NOW,
      attester: { kind: 'enrolling', activation },
    },
  }
}

export function ekIdOf({ ekPublic }: Pick<SoftwareTpm, 'ekPublic'>): string {
  return hashOf('sha256', ekPublic.export({ format: 'der', type: 'spki' })).toString('hex')
}

/** The same device later: what the service remembers of it is what the first evidence left behind. */
export function makeKnownEvidence(options: EvidenceOptions = {}, first: EvidenceOptions = {}): TestEvidence {
  const { quote: _, certificates: __, members: ___, ...tpmOptions } = options
  const before = makeEvidence({ ...tpmOptions, ...first })
  const { attester } = verifyEvidence(before)
  if (attester === undefined) throw new Error('the first evidence leaves nothing behind')
  const members = { ekCertificate: undefined, ekChain: undefined, activatedSecret: undefined, ...options.members }
  const later = makeEvidence({ ...options, members })
  // Those by which it enrolled are trusted still; the root is signed anew each time.
  const anchors = [...before.anchors, ...later.anchors]
  return { ...later, anchors, expected: { ...later.expected, attester: { kind: 'known', ...attester } } }
}

export function verifyEvidence({ evidence, anchors, expected }: TestEvidence) {
  return tpm2.parse(evidence).verify(anchors, expected)
}

/** The whole of an enrolment: request, credential, the TPM opens it. */
export function activateFor(tpm: SoftwareTpm, random: (length: number) => Uint8Array) {
  const path = certifyEk(tpm)
  const request = tpm2.parseCredentialRequest?.({
    ekCertificate: toText(path.leaf),
    ekChain: [toText(path.intermediate)],
    akPublic: toText(tpm2b(tpm.akArea)),
  })
  if (request === undefined) throw new Error('the format makes no credentials')
  const { answer, activation } = request.challenge([anchorOf(path.root)], { now: CERTIFICATE_NOW, random })
  return { answer, activation, opened: activateCredential(tpm, answer) }
}
