import { describe, expect, it } from 'vitest'
import { toIdObject } from '../../protocol/attestation/formats/tpm2/credential.ts'
import { parsePublic } from '../../protocol/attestation/formats/tpm2/public-area.ts'
import { tpm2 } from '../../protocol/attestation/formats/tpm2.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { listActivations, readTpmCase, readTpmFixture, tpmFixtureCases, tpmFixtures } from '../support/tpm/fixtures.ts'
import { tpm2b } from '../support/tpm/structures.ts'

const activations = tpmFixtures === undefined ? [] : listActivations(tpmFixtures)

it.skipIf(tpmFixtures === undefined)('QFLARE_FIXTURES names quotes and credentials of TPMs; unset, none is run', () => {
  expect(tpmFixtureCases).not.toEqual([])
  expect(activations).not.toEqual([])
})

/** The checks that find what these cases are made to have wrong. */
const checks: Record<string, string> = {
  accept: 'accept',
  'bad-signature': 'tpm2.signature',
  'nonce-mismatch': 'tpm2.binding',
  'pcr-digest-mismatch': 'tpm2.pcr_digest',
}

describe.each(tpmFixtureCases)('case %s', (name) => {
  it.each([
    ['without', false],
    ['with', true],
  ])('has its verdict %s the event log', (_, withLog) => {
    const { verdict, evidence, expected, anchors } = readTpmCase(name, withLog)
    let found = 'accept'
    try {
      tpm2.parse(evidence).verify(anchors, expected)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      found = error.check ?? error.code
    }
    expect(checks).toHaveProperty(verdict)
    expect(found).toBe(checks[verdict])
  })
})

describe.each(activations)('%s', (path) => {
  const [, device = '', ek = '', ak = ''] = /^(.+)\/activate-(ek-\w+)-(ak-\w+)$/.exec(path) ?? []

  it('is the credential that its seed and secret make, which its TPM opened', () => {
    const area = parsePublic(readTpmFixture(device, `${ek}.pub`))
    const isSha256 = area.nameAlgorithm === 0x000b
    const sizes = { nameAlgorithm: isSha256 ? 'sha256' : 'sha384', keyBits: isSha256 ? 128 : 256 } as const
    const given = { akName: readTpmFixture(device, `${ak}.name`), secret: readTpmFixture(path, 'secret.bin') }
    const made = tpm2b(toIdObject(sizes, readTpmFixture(path, 'js.seed.bin'), given))
    expect(made).toEqual(readTpmFixture(path, 'js.credentialBlob.tpm2b'))
    expect(readTpmFixture(path, 'js.out')).toEqual(given.secret)
  })
})
