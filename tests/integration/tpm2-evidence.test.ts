import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Attester, ExpectedEvidence } from '../../protocol/attestation/evidence-format.ts'
import { tpm2 } from '../../protocol/attestation/formats/tpm2.ts'
import type { Json } from '../../protocol/encoding.ts'
import { startTestTpm, type TestTpm, whyNoTpm } from '../support/swtpm.ts'
import { anchorOf } from '../support/tpm/ek-authority.ts'
import { writeEventLog } from '../support/tpm/event-logs.ts'
import { makeEvidence, testEvents, toText, verifyEvidence } from '../support/tpm/evidence.ts'

const eks = {
  rsa: { context: '0x81010001', ak: { key: 'rsa', hash: 'sha256', scheme: 'rsassa' } },
  p256: { context: 'ek-p256.ctx', ak: { key: 'ecc', hash: 'sha256', scheme: 'ecdsa' } },
  p384: { context: '0x81010016', ak: { key: 'ecc384', hash: 'sha384', scheme: 'ecdsa' } },
  pss: { context: '0x81010001', ak: { key: 'rsa', hash: 'sha256', scheme: 'rsapss' } },
} as const
type Ek = keyof typeof eks

/** An event of a boot loader, whose data is text. */
const EV_IPL = 0x0d

describe.skipIf(whyNoTpm() !== undefined)(`a TPM that is none of the tests' own (${whyNoTpm() ?? 'swtpm'})`, () => {
  let tpm: TestTpm

  beforeAll(async () => {
    tpm = await startTestTpm()
  })
  afterAll(() => tpm.stop())

  const read = (file: string) => readFile(join(tpm.folder, file))

  async function makeAk(ek: Ek): Promise<Record<string, Json>> {
    const { context, ak } = eks[ek]
    const kind = ['-G', ak.key, '-g', ak.hash, '-s', ak.scheme]
    await tpm.run('createak', '-C', context, '-c', `ak-${ek}.ctx`, '-u', `ak-${ek}.pub`, ...kind)
    await tpm.run('flushcontext', '-t')
    return {
      ekCertificate: toText(tpm.ekCertificates[ek === 'pss' ? 'rsa' : ek]),
      ekChain: [toText(tpm.anchors.intermediate)],
      akPublic: toText(await read(`ak-${ek}.pub`)),
    }
  }

  async function activate(ek: Ek, answer: { credentialBlob: Uint8Array; encryptedSecret: Uint8Array }) {
    const { credentialBlob, encryptedSecret } = answer
    await writeFile(
      join(tpm.folder, 'credential'),
      Buffer.concat([Buffer.from('badcc0de00000001', 'hex'), credentialBlob, encryptedSecret]),
    )
    await tpm.run('startauthsession', '--policy-session', '-S', 'session')
    await tpm.run('policysecret', '-S', 'session', '-c', 'e')
    // The EK of P-384 is of the high range, whose user needs no policy.
    const right = ek === 'p384' ? [] : ['-P', 'session:session']
    const keys = ['-c', `ak-${ek}.ctx`, '-C', eks[ek].context]
    await tpm.run('activatecredential', ...keys, '-i', 'credential', '-o', 'secret', ...right)
    await tpm.run('flushcontext', 'session')
    await tpm.run('flushcontext', '-t')
    return read('secret')
  }

  async function quote(ek: Ek, binding: Uint8Array, bank: 'sha256' | 'sha384' = 'sha256') {
    const { ak } = eks[ek]
    const what = ['-l', `${bank}:0,2,4,7`, '-q', Buffer.from(binding).toString('hex')]
    const how = ['-g', ak.hash, '--scheme', ak.scheme, '-m', 'quote', '-s', 'signature']
    await tpm.run('quote', '-c', `ak-${ek}.ctx`, ...what, ...how, '-o', 'pcrs', '-F', 'values')
    await tpm.run('flushcontext', '-t')
    const values = await read('pcrs')
    const length = values.length / 4
    const pcrs = [0, 2, 4, 7].map((pcr, index) => [
      String(pcr),
      values.subarray(index * length, (index + 1) * length).toString('hex'),
    ])
    return {
      quote: toText(await read('quote')),
      signature: toText(await read('signature')),
      pcrs: { [bank]: Object.fromEntries(pcrs) as Json },
    }
  }

  function verify(evidence: Record<string, Json>, binding: Uint8Array, attester: ExpectedEvidence['attester']) {
    const anchors = [anchorOf(tpm.anchors.root)]
    return tpm2
      .parse({ format: 'tpm2', ...evidence })
      .verify(anchors, { binding, identityKey: new Uint8Array(1312), now: Date.now(), attester })
  }

  test.each(Object.keys(eks) as Ek[])('opens a credential, enrols and attests again: %s', async (ek) => {
    const keys = await makeAk(ek)
    const request = tpm2.parseCredentialRequest?.(keys)
    const given = { now: Date.now(), random: randomBytes }
    const { answer, activation } = request?.challenge([anchorOf(tpm.anchors.root)], given) ?? expect.fail()
    const activatedSecret = toText(await activate(ek, answer))
    const binding = randomBytes(32)
    const evidence = { ...keys, ...(await quote(ek, binding)), activatedSecret }
    const enrolled = verify(evidence, binding, { kind: 'enrolling', activation }).attester as Attester
    expect(enrolled.id).toBe(activation.attesterId)
    const later = randomBytes(32)
    const { akPublic = '' } = keys
    const again = verify({ akPublic, ...(await quote(ek, later, 'sha384')) }, later, { kind: 'known', ...enrolled })
    expect(again.attester?.id).toBe(enrolled.id)
    expect(again.claims).toMatchObject({ tpm: { manufacturer: 'id:00001014' }, hasRestarted: false })
  })

  test('replays an event log as tpm2_eventlog does', async () => {
    const banks = ['sha1', 'sha256', 'sha384'] as const
    const events = testEvents.map((event) => ({ ...event, type: EV_IPL }))
    const log = writeEventLog(events, banks)
    await writeFile(join(tpm.folder, 'log'), log)
    const printed = (await tpm.run('eventlog', 'log')).split('\npcrs:\n')[1] ?? ''
    const ends = (bank: string) => {
      const section = new RegExp(`^  ${bank}:\\n((?:    .*\\n?)+)`, 'm').exec(printed)?.[1] ?? ''
      return Object.fromEntries(
        [...section.matchAll(/(\d+) *: 0x([0-9a-f]+)/g)].map(([, pcr = '', value = '']) => [pcr, value]),
      )
    }
    const pcrs = { sha256: ends('sha256'), sha384: ends('sha384') }
    const made = makeEvidence({ quote: { pcrs }, members: { eventLog: toText(log) } })
    const explained = [0, 2, 4, 7]
    expect(verifyEvidence(made).claims).toMatchObject({ replayed: { sha256: explained, sha384: explained } })
  })
})
