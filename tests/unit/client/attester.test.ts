import { describe, expect, it } from 'vitest'
import { type Attester, ask, attestNothing, chooseAttesters, collectEvidence } from '../../../client/attester.ts'
import { QflareError } from '../../../client/errors.ts'

const attester = (format: string, more: Partial<Attester> = {}): Attester => ({
  format,
  collect: async (binding) => ({ format, binding: [...binding] }),
  ...more,
})

describe('the attesters of a device', () => {
  it('are chosen as the server wants them, none among them without being given', () => {
    const tpm2 = attester('tpm2')
    expect(chooseAttesters(['none'], [])).toEqual([attestNothing])
    expect(chooseAttesters(['none'], [tpm2])).toEqual([attestNothing])
    expect(chooseAttesters(['psa', 'tpm2'], [tpm2, attester('psa')]).map(({ format }) => format)).toEqual([
      'psa',
      'tpm2',
    ])
  })

  it.each([
    [['tpm2'], [], 'The server wants evidence of tpm2: this device has no attester.'],
    [
      ['tpm2', 'psa'],
      [attester('psa')],
      'The server wants evidence of tpm2, psa: this device has attesters of psa only.',
    ],
    [[], [], expect.any(String)],
  ])('refuse a policy of %j that they cannot satisfy as a whole', (wanted, given, message) => {
    expect(() => chooseAttesters(wanted, given)).toThrow(expect.objectContaining({ code: 'policy_refused', message }))
  })

  it('give a piece of evidence each, with what its activation gave besides', async () => {
    const binding = new Uint8Array([1, 2])
    const evidence = await collectEvidence([attester('tpm2'), attestNothing], binding, {
      tpm2: { activatedSecret: 's' },
    })
    expect(evidence).toEqual([{ format: 'tpm2', binding: [1, 2], activatedSecret: 's' }, { format: 'none' }])
  })

  it('fail with an error of the library, whatever they throw', async () => {
    const broken = attester('psa', { collect: () => Promise.reject(new TypeError('no bus')) })
    await expect(collectEvidence([broken], new Uint8Array(32))).rejects.toMatchObject({
      code: 'attester_failed',
      message: 'The attester of psa gives no evidence (no bus).',
      cause: expect.any(TypeError),
    })
    const own = new QflareError('tpm_unavailable', 'gone')
    await expect(ask(broken, () => Promise.reject(own))).rejects.toBe(own)
  })
})
