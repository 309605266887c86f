import { afterEach, describe, expect, it, vi } from 'vitest'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'

const nativeModule = '../../../protocol/primitives/native.ts'

afterEach(() => {
  vi.doUnmock(nativeModule)
})

describe('the provider of a process', () => {
  it('is the native one, unless the portable one is asked for', async () => {
    expect((await choosePrimitives()).provider).toBe('native')
    expect((await choosePrimitives('native')).provider).toBe('native')
    expect((await choosePrimitives('portable')).provider).toBe('portable')
  })

  it('is the portable one where the runtime has no node:crypto that can be used', async () => {
    vi.doMock(nativeModule, () => {
      throw new Error('No such built-in module: node:crypto')
    })
    expect((await choosePrimitives()).provider).toBe('portable')
    expect((await choosePrimitives('portable')).provider).toBe('portable')
  })

  it('is refused where native is demanded and cannot be had', async () => {
    vi.doMock(nativeModule, () => {
      throw new Error('No such built-in module: node:crypto')
    })
    await expect(choosePrimitives('native')).rejects.toMatchObject({
      code: 'crypto_unavailable',
      message: 'This runtime has no usable node:crypto.',
    })
  })
})
