import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { fromBase64url } from '../../../protocol/encoding.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { roundClosed } from '../../../protocol/rounds/messages.ts'
import { type RoundCertificateFile, roundCertificateFile } from '../../../protocol/rounds/round-certificate.ts'
import { FEDERATION, makeAuthority, makeCertificate, makeCertificateFile } from '../../support/round-certificate.ts'
import { codeOf, enrolledDevice } from './setup.ts'

const crypto = await choosePrimitives()
const authority = makeAuthority(crypto)
const stranger = makeAuthority(crypto, 'stranger')
const file = makeCertificateFile(crypto, authority)
const aggregateHash = fromBase64url(file.certificate.aggregateHash ?? '')
const closing = `POST /v1/federations/${FEDERATION}/rounds/7/close`
const fetching = `GET /v1/federations/${FEDERATION}/rounds/7/certificate`
const withCertificate = (change: Parameters<typeof makeCertificate>[1], by = authority) =>
  makeCertificateFile(crypto, by, makeCertificate(crypto, change))

/** A coordinator that has pinned `authority`, and a server that gives this. */
async function coordinator(given: RoundCertificateFile = file) {
  const { device, store, server } = await enrolledDevice()
  await device.exchange()
  const state = await store.load()
  if (state === undefined) throw new Error('no state')
  await store.save({ ...state, trust: authority.bundle, revision: state.revision + 1 })
  const { certificate, signature } = given
  server.tamper = (line, answer) => {
    if (line === closing) return { status: 200, json: z.encode(roundClosed, { certificate, signature }) }
    return line === fetching ? { status: 200, json: z.encode(roundCertificateFile, given) } : answer
  }
  const close = (options: { aggregateHash?: Uint8Array; participants?: string[] } = { aggregateHash }) =>
    device.closeRound(FEDERATION, 7, options)
  return { device, server, close, fetch: () => device.roundCertificate(FEDERATION, 7, { requireProof: true }) }
}

describe('a coordinator that closes a round', () => {
  it('has its certificate, and asks again when the answer was lost', async () => {
    const { close, server } = await coordinator()
    server.lose.push(closing)
    expect(await close()).toEqual(file.certificate)
    expect(server.count(closing)).toBe(2)
    expect(server.requests.findLast(({ line }) => line === closing)?.body).toEqual({
      aggregateHash: file.certificate.aggregateHash,
    })
  })

  it.each<[string, string, RoundCertificateFile]>([
    [
      'that was changed',
      'signature_invalid',
      { ...file, certificate: makeCertificate(crypto, { policy: 'development' }) },
    ],
    ['of another service', 'trust_invalid', makeCertificateFile(crypto, stranger)],
    ['of another round', 'round_invalid', withCertificate({ round: 8 })],
    ['of another federation', 'round_invalid', withCertificate({ federationId: file.certificate.organizationId })],
    ['over another aggregate', 'round_invalid', withCertificate({ aggregateHash: 'A'.repeat(43) })],
    ['over no aggregate', 'round_invalid', withCertificate({ aggregateHash: null })],
  ])('refuses one %s', async (_, code, given) => {
    expect(await codeOf((await coordinator(given)).close())).toBe(code)
  })

  it('refuses one of others than those whom it named, in whatever order it named them', async () => {
    const { close } = await coordinator()
    const participants = file.certificate.participants.map(({ deviceId }) => deviceId).toReversed()
    expect(await close({ aggregateHash, participants })).toEqual(file.certificate)
    for (const named of [
      participants.slice(1),
      [...participants, FEDERATION],
      [FEDERATION, ...participants.slice(1)],
    ]) {
      expect(await codeOf(close({ aggregateHash, participants: named }))).toBe('round_invalid')
    }
  })

  it('refuses an aggregate that it did not state, and sends none that is no hash', async () => {
    const { close, server } = await coordinator()
    expect(await codeOf(close({}))).toBe('round_invalid')
    const before = server.count(closing)
    expect(await codeOf(close({ aggregateHash: new Uint8Array(31) }))).toBe('input_invalid')
    expect(server.count(closing)).toBe(before)
  })
})

describe('a coordinator that fetches a certificate', () => {
  it('has what verifies under the root key that it pinned', async () => {
    const fetched = await (await coordinator()).fetch()
    expect(z.encode(roundCertificateFile, fetched)).toEqual(z.encode(roundCertificateFile, file))
  })

  it.each<[string, string, RoundCertificateFile]>([
    [
      'that was changed',
      'signature_invalid',
      { ...file, certificate: makeCertificate(crypto, { policy: 'development' }) },
    ],
    ['of another service', 'trust_invalid', makeCertificateFile(crypto, stranger)],
    ['of another round', 'round_invalid', withCertificate({ round: 8 })],
    ['without the proof that it wants', 'log_invalid', { ...file, proof: null }],
  ])('refuses one %s', async (_, code, given) => {
    expect(await codeOf((await coordinator(given)).fetch())).toBe(code)
  })
})
