import { describe, expect, it } from 'vitest'
import { splitCertificates } from '../../../../client/tpm/endorsement-key.ts'

const der = (length: number, fill: number) =>
  new Uint8Array([0x30, 0x82, length >> 8, length & 255, ...Array.from({ length }, () => fill)])

describe('an index of NV with certificates', () => {
  it('gives each of them, without what stands behind the last', () => {
    const [first, second] = [der(300, 1), der(513, 2)]
    for (const padding of [[], [0, 0, 0], [0xff, 0xff], [0x30, 0x82, 0x7f, 0xff, 1]]) {
      expect(splitCertificates(new Uint8Array([...first, ...second, ...padding]))).toEqual([first, second])
    }
  })

  it.each([[[]], [[0x30]], [[0x30, 0x82]], [[0x30, 0x82, 1, 0, 5]], [[0, 0, 0, 0, 0]]])(
    'with %j holds none',
    (bytes) => {
      expect(splitCertificates(new Uint8Array(bytes))).toEqual([])
    },
  )
})
