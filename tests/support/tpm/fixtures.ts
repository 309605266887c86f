import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExpectedEvidence, TrustAnchor } from '../../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../../protocol/attestation/x509/parse-certificate.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { anchorOf } from './ek-authority.ts'
import { ekIdOf, toText } from './evidence.ts'
import { hashOf, type TpmHash, u32 } from './structures.ts'

/**
 * Quotes and credentials of a software TPM and tpm2-tools are not copied into this repository: a folder named by QFLARE_FIXTURES, whose
 * folder `tpm` has them with a README, is run as it is. They are bound to qualifying data of their own.
 */
export const tpmFixtures =
  process.env['QFLARE_FIXTURES'] === undefined ? undefined : join(process.env['QFLARE_FIXTURES'], 'tpm')

export const tpmFixtureCases = tpmFixtures === undefined ? [] : readdirSync(join(tpmFixtures, 'cases'))

/** Folders of credentials, below that of their device. */
export function listActivations(folder: string): string[] {
  const devices = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'eventlog.json')))
  return devices.flatMap((device) =>
    readdirSync(join(folder, device))
      .filter((name) => name.startsWith('activate-'))
      .map((name) => join(device, name)),
  )
}

export function readTpmFixture(...path: string[]): Buffer {
  return readFileSync(join(tpmFixtures ?? '', ...path))
}

function readJson<Type>(...path: string[]): Type {
  return JSON.parse(readTpmFixture(...path).toString()) as Type
}

interface Verdict {
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

export interface TpmFixture {
  verdict: string
  evidence: Record<string, Json>
  anchors: readonly TrustAnchor[]
  expected: ExpectedEvidence
}

const lp = (bytes: Uint8Array) => Buffer.concat([u32(bytes.length), bytes])

/** Evidence as a device would have sent it at its enrolment, the activation taken as done. */
export function readTpmCase(name: string, withLog: boolean): TpmFixture {
  const { expect, ek, ca, serverNonce } = readJson<Verdict>('cases', name, 'case.json')
  const challenge = readJson<Challenge>('cases', name, 'challenge.json')
  const { device } = challenge
  const nonce = Buffer.from(serverNonce ?? challenge.serverNonce, 'hex')
  const identity = ['id-mldsa65.spki.der', 'id-mlkem768.spki.der'].map((file) => readTpmFixture(device, file))
  const binding = hashOf(challenge.qualifyingHash, Buffer.from('QFLARE-TPM-QUOTE-v1'), ...[nonce, ...identity].map(lp))
  const ekCertificate = readTpmFixture(device, `${ek}.crt.der`)
  const secret = Buffer.alloc(32, 1)
  const log = readJson<{ pcr: number; description: string; eventData: string }[]>(device, 'eventlog.json')
  const activation = {
    attesterId: ekIdOf({ ekPublic: parseCertificate(ekCertificate).publicKey }),
    state: { akName: readTpmFixture(device, `${challenge.ak}.name`).toString('hex') },
    secret,
  }
  return {
    verdict: expect,
    evidence: {
      format: 'tpm2',
      ekCertificate: toText(ekCertificate),
      ekChain: [toText(readTpmFixture(ca, 'intermediate.der'))],
      akPublic: toText(readTpmFixture(device, `${challenge.ak}.pub`)),
      quote: toText(readTpmFixture('cases', name, 'quote.attest')),
      signature: toText(readTpmFixture('cases', name, 'quote.sig')),
      pcrs: readJson<Json>('cases', name, 'pcrs.json'),
      activatedSecret: toText(secret),
      ...(withLog && {
        eventLog: log.map((event) => ({ ...event, eventData: toText(Buffer.from(event.eventData, 'base64')) })),
      }),
    },
    anchors: [anchorOf(readTpmFixture(ca, 'root.der'))],
    expected: {
      binding,
      identityKey: new Uint8Array(1312),
      now: Date.parse(readTpmFixture('GENERATED_AT').toString().trim()),
      attester: { kind: 'enrolling', activation },
    },
  }
}
