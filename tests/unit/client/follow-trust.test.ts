import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { trustBundle } from '../../../protocol/trust.ts'
import { newSigner, signBundle, toTrustKey } from './fake-authority.ts'
import { codeOf, enrolledDevice } from './setup.ts'

const crypto = await choosePrimitives()

describe('following trust', () => {
  it('goes through two rotations of root and bucket key, and the next exchange uses the newest', async () => {
    const { server, device } = await enrolledDevice()
    server.authority.rotate()
    server.authority.rotate()
    const { trust, session } = await device.exchange()
    expect(trust.sequence).toBe(3)
    expect(session).toBeDefined()
  })

  it('refuses a later bundle of a root key that is not held, and keeps the one it has', async () => {
    const { server, device } = await enrolledDevice()
    const stranger = newSigner(crypto)
    const forged = signBundle(2, [toTrustKey(stranger, 'root'), toTrustKey(stranger, 'bucket')], stranger)
    server.tamper = (_line, answer) => ({
      ...answer,
      json: { items: [z.encode(trustBundle, forged)], nextCursor: null },
    })
    expect(await codeOf(device.followTrust())).toBe('trust_invalid')
    expect((await device.status()).trust.sequence).toBe(1)
  })

  it('refuses a gap, an older bundle and a second rotation signed by the first root', async () => {
    const { server, device } = await enrolledDevice()
    const { bundles } = server.authority
    server.authority.rotate()
    server.authority.rotate()
    const answers = [[bundles[2]], [bundles[0]], [bundles[1], bundles[0]], [bundles[1], bundles[1]]]
    for (const items of answers) {
      server.tamper = (_line, answer) => ({
        ...answer,
        json: { items: items.map((item) => z.encode(trustBundle, item as never)), nextCursor: null },
      })
      expect(await codeOf(device.followTrust())).toBe('trust_invalid')
      expect((await device.status()).trust.sequence).toBe(1)
    }
  })

  it('takes what a server gives in several answers', async () => {
    const { server, device } = await enrolledDevice()
    server.authority.rotate()
    server.authority.rotate()
    server.tamper = (_line, answer) => {
      const { items } = answer.json as { items: unknown[] }
      return { ...answer, json: { items: items.slice(0, 1), nextCursor: items.length > 1 ? 'more' : null } }
    }
    expect((await device.followTrust()).trust.sequence).toBe(3)
  })
})
