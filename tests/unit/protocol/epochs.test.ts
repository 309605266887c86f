import { describe, expect, it } from 'vitest'
import { communicationKey, keyPurposes, ratchet, roundContext, tokenProof } from '../../../protocol/exchange/epochs.ts'
import { acceptAnswer } from '../../../protocol/exchange/initiate.ts'
import { BUCKET, makeDevice, makeServer, seedOf, startExchange } from '../../support/protocol-exchange.ts'
import { native as crypto, flipBit, toHex } from '../../support/protocol-providers.ts'

const chain = seedOf(crypto, 'chain', 64)
const sessionId = '01a2014d-b6c0-8801-839c-e1cdeaf8369c'
const otherSession = '01a2014d-b6c0-8801-839c-e1cdeaf8369d'
const federationId = '0197b2f0-0000-7000-8000-0000000000fe'

describe('a communication key', () => {
  const names = { sessionId, epoch: BUCKET, purpose: 'round', context: roundContext(federationId, 7) } as const
  const key = (changed: object = {}, of = chain) => toHex(communicationKey(crypto, of, { ...names, ...changed }))

  it('is another for each chain, session, epoch, purpose, federation and round', () => {
    const keys = [
      key(),
      key({}, flipBit(chain, 511)),
      key({ sessionId: otherSession }),
      key({ epoch: BUCKET + 1 }),
      ...keyPurposes.filter((purpose) => purpose !== 'round').map((purpose) => key({ purpose })),
      key({ context: roundContext(federationId, 8) }),
      key({ context: roundContext(sessionId, 7) }),
      key({ context: new Uint8Array(0) }),
    ]
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys.every((one) => one.length === 128)).toBe(true)
  })

  it('without a context is that of an empty one', () => {
    const bare = communicationKey(crypto, chain, { sessionId, epoch: BUCKET, purpose: 'encryption' })
    expect(toHex(bare)).toBe(key({ purpose: 'encryption', context: new Uint8Array(0) }))
  })

  it('leaves the chain as it was, which is the caller’s to wipe', () => {
    const copy = Uint8Array.from(chain)
    communicationKey(crypto, copy, names)
    ratchet(crypto, copy, BUCKET)
    tokenProof(crypto, copy, { sessionId, epoch: BUCKET, nonce: new Uint8Array(32) })
    expect(toHex(copy)).toBe(toHex(chain))
  })
})

describe('the chain', () => {
  it('goes on to the same keys at both ends, epoch after epoch', () => {
    const { initiated, responded } = startExchange(crypto, makeDevice(crypto), makeServer(crypto))
    let [device, server] = [acceptAnswer(crypto, initiated, responded.answer).chain, responded.chain]
    const seen = new Set<string>()
    for (let epoch = BUCKET; epoch < BUCKET + 13; epoch++) {
      expect(toHex(device)).toBe(toHex(server))
      seen.add(toHex(device))
      device = ratchet(crypto, device, epoch)
      server = ratchet(crypto, server, epoch)
    }
    expect(seen.size).toBe(13)
  })

  it('depends on the epoch that it goes to', () => {
    expect(toHex(ratchet(crypto, chain, BUCKET))).not.toBe(toHex(ratchet(crypto, chain, BUCKET + 1)))
  })
})

describe('the proof of a token renewal', () => {
  const nonce = seedOf(crypto, 'nonce', 32)
  const proof = (changed: object = {}, of = chain) =>
    toHex(tokenProof(crypto, of, { sessionId, epoch: BUCKET, nonce, ...changed }))

  it('is another for each chain, session, epoch and nonce', () => {
    const proofs = [
      proof(),
      proof({}, flipBit(chain, 0)),
      proof({ sessionId: otherSession }),
      proof({ epoch: BUCKET + 1 }),
      proof({ nonce: flipBit(nonce, 255) }),
    ]
    expect(new Set(proofs).size).toBe(proofs.length)
    expect(proof()).toBe(proofs[0])
  })
})
