import { expect, onTestFinished, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureAlgorithmNames, signatureAlgorithms } from '../../protocol/suites.ts'
import { newId } from '../../runtime/ids.ts'
import { enrollTestDevice, initiate, refusal, sendExchange } from '../support/api.ts'
import { crypto, startTestService } from '../support/service.ts'

/** Says what is computed, which is what an exchange's time depends on. */
function listening(done: string[]): Primitives {
  return {
    ...crypto,
    hmac256(key, message) {
      done.push(`MAC of ${message.length} bytes`)
      return crypto.hmac256(key, message)
    },
    importVerificationKey(alg, publicKey) {
      done.push(`import ${alg}`)
      const key = crypto.importVerificationKey(alg, publicKey)
      return {
        ...key,
        verify(message, context, signature) {
          done.push(`verify ${alg} with ${signature.length} bytes`)
          return key.verify(message, context, signature)
        },
      }
    },
    importEncapsulationKey(suite, publicKey) {
      done.push(`import ${suite}`)
      return crypto.importEncapsulationKey(suite, publicKey)
    },
  }
}

test('an unknown device costs what a known one with a wrong signature costs, whatever its signature’s length', async () => {
  const done: string[] = []
  const service = await startTestService({ crypto: listening(done) })
  onTestFinished(() => service.close())
  const device = await enrollTestDevice(service, { alg: 'ML-DSA-65' })
  for (const alg of signatureAlgorithmNames) {
    const signature = toBase64url(crypto.randomBytes(signatureAlgorithms[alg].signatureBytes))
    const costs = []
    for (const deviceId of [device.deviceId, newId()]) {
      const { wire } = await initiate(service, device)
      done.length = 0
      const answer = await sendExchange(service, { ...wire, deviceId, signature })
      expect(refusal(answer)).toEqual({ status: 401, code: 'exchange_refused' })
      costs.push([...done])
    }
    expect(costs[1]).toEqual(costs[0])
    expect(costs[1]).toContain(`verify ${alg} with ${signatureAlgorithms[alg].signatureBytes} bytes`)
  }
})
