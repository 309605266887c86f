import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ExpectedEvidence } from '../../protocol/attestation/evidence-format.ts'
import { toIdObject } from '../../protocol/attestation/formats/tpm2/credential.ts'
import { parsePublic } from '../../protocol/attestation/formats/tpm2/public-area.ts'
import { tpm2 } from '../../protocol/attestation/formats/tpm2.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { anchorOf } from '../support/tpm/ek-authority.ts'
import { ekIdOf, toText } from '../support/tpm/evidence.ts'
import { hashOf, type TpmHash, tpm2b, u32 } from '../support/tpm/structures.ts'

/**
 * Quotes and credentials of a software TPM and tpm2-tools are not copied into this repository: a folder named by QFLARE_FIXTURES, whose
 * folder `tpm` has them with a README, is run as it is. They are bound to qualifying data of their own.
 */
const folder = process.env.QFLARE_FIXTURES === undefined ? undefined : join(process.env.QFLARE_FIXTURES, 'tpm')
const cases = folder === undefined ? [] : readdirSync(join(folder, 'cases'))
const devices =
  folder === undefined ? [] : readdirSync(folder).filter((name) => existsSync(join(folder, name, 'eventlog.json')))
const activations = devices.flatMap((device) =>
  readdirSync(join(folder as string, device))
    .filter((name) => name.startsWith('activate-'))
    .map((name) => join(device, name)),
)
const read = (...path: string[]) => readFileSync(join(folder as string, ...path))
const readJson = <Type>(...path: string[]) => JSON.parse(read(...path).toString()) as Type

it.skipIf(folder === undefined)('QFLARE_FIXTURES names quotes and credentials of TPMs; unset, none is run', () => {
  expect(cases).not.toEqual([])
  expect(activations).not.toEqual([])
})

interface Case {
  expect: string
  ek: string
  ca: string
  serverNonce?: string
}

interface Challenge {
  device: string
  ak: string
  serverNonce: string
  qualifyingHash: TpmHash
}

const lp = (bytes: Uint8Array) => Buffer.concat([u32(bytes.length), bytes])

/** Evidence as a device would have sent it at its enrolment, the activation taken as done. */
function readCase(name: string, withLog: boolean) {
  const verdict = readJson<Case>('cases', name, 'case.json')
  const challenge = readJson<Challenge>('cases', name, 'challenge.json')
  const { device } = challenge
  const nonce = Buffer.from(verdict.serverNonce ?? challenge.serverNonce, 'hex')
  const identity = [read(device, 'id-mldsa65.spki.der'), read(device, 'id-mlkem768.spki.der')]
  const label = Buffer.from('QFLARE-TPM-QUOTE-v1')
  const binding = hashOf(challenge.qualifyingHash, label, ...[nonce, ...identity].map(lp))
  const ekCertificate = read(device, `${verdict.ek}.crt.der`)
  const secret = Buffer.alloc(32, 1)
  const akName = read(device, `${challenge.ak}.name`).toString('hex')
  const attesterId = ekIdOf({ ekPublic: parseCertificate(ekCertificate).publicKey })
  const log = readJson<{ pcr: number; description: string; eventData: string }[]>(device, 'eventlog.json')
  const eventLog = log.map((event) => ({ ...event, eventData: toText(Buffer.from(event.eventData, 'base64')) }))
  const evidence = {
    format: 'tpm2',
    ekCertificate: toText(ekCertificate),
    ekChain: [toText(read(verdict.ca, 'intermediate.der'))],
    akPublic: toText(read(device, `${challenge.ak}.pub`)),
    quote: toText(read('cases', name, 'quote.attest')),
    signature: toText(read('cases', name, 'quote.sig')),
    pcrs: readJson<Record<string, Record<string, string>>>('cases', name, 'pcrs.json'),
    activatedSecret: toText(secret),
    ...(withLog && { eventLog }),
  }
  const expected: ExpectedEvidence = {
    binding,
    now: Date.parse(read('GENERATED_AT').toString().trim()),
    attester: { kind: 'enrolling', activation: { attesterId, state: { akName }, secret } },
  }
  return { verdict, evidence, expected, anchors: [anchorOf(read(verdict.ca, 'root.der'))] }
}

/** The checks that find what these cases are made to have wrong. */
const checks: Record<string, string> = {
  accept: 'accept',
  'bad-signature': 'tpm2.signature',
  'nonce-mismatch': 'tpm2.binding',
  'pcr-digest-mismatch': 'tpm2.pcr_digest',
}

describe.each(cases)('case %s', (name) => {
  it.each([
    ['without', false],
    ['with', true],
  ])('has its verdict %s the event log', (_, withLog) => {
    const { verdict, evidence, expected, anchors } = readCase(name, withLog)
    let found = 'accept'
    try {
      tpm2.parse(evidence).verify(anchors, expected)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      found = error.check ?? error.code
    }
    expect(checks).toHaveProperty(verdict.expect)
    expect(found).toBe(checks[verdict.expect])
  })
})

describe.each(activations)('%s', (path) => {
  const [, ek = '', ak = ''] = /activate-(ek-\w+)-(ak-\w+)$/.exec(path) ?? []
  const device = path.split('/')[0] as string

  it('is the credential that its seed and secret make', () => {
    const area = parsePublic(read(device, `${ek}.pub`))
    const given = { akName: read(device, `${ak}.name`), secret: read(path, 'secret.bin') }
    const sizes = { nameAlgorithm: area.nameAlgorithm === 0x000b ? 'sha256' : 'sha384', keyBits: 128 } as const
    expect(tpm2b(toIdObject(sizes, read(path, 'js.seed.bin'), given))).toEqual(read(path, 'js.credentialBlob.tpm2b'))
    expect(read(path, 'js.out')).toEqual(given.secret)
  })
})
