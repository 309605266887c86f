import { afterAll, beforeAll, expect, test } from 'vitest'
import { openAttestationInputs } from '../../client/attestation-inputs.ts'
import { openAttestations } from '../../client/attestations.ts'
import { openOperator } from '../../client/operator.ts'
import { attestTampered, trustFleet } from '../../demo/attestation.ts'
import { enrollMember, exchangeKeys, makeTokens } from '../../demo/fleet.ts'
import { makeSoftwareMachine, type SoftwareMachine } from '../../demo/software-machine.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
})
afterAll(() => service.close())

const access = () => ({ url: service.url, apiToken: service.adminToken })

async function enrol(machine: SoftwareMachine, { trusted = machine }: { trusted?: SoftwareMachine } = {}) {
  const operator = openOperator(access())
  const { policyId } = await trustFleet({ operator, inputs: openAttestationInputs(access()) }, [trusted])
  const [made] = await makeTokens(operator, [machine.anchor.name], { kind: 'device', policyId })
  if (made === undefined) throw new Error('no token')
  return enrollMember({ url: service.url, allowInsecureHttp: true, crypto }, { ...made, machine })
}

test('the demo notices a service that finds nothing wrong with firmware that nobody released', async () => {
  const machine = makeSoftwareMachine('honest')
  // Its evidence is affirming, as if the service had not looked.
  const member = await exchangeKeys(await enrol({ ...machine, boot: () => undefined }))
  const seeing = { operator: openOperator(access()), attestations: openAttestations(access()) }
  await expect(attestTampered(seeing, member)).rejects.toThrow(
    'honest was found affirming, and should have been contraindicated.',
  )
})

test('a machine of the demo is refused at its enrolment when it boots what nobody released', async () => {
  const machine = makeSoftwareMachine('tampered')
  machine.boot('tampered')
  await expect(enrol(machine)).rejects.toThrow('Policy qflare-demo@1 admits')
})

test('a machine whose key nobody trusts is refused, whatever it says', async () => {
  const refused = enrol(makeSoftwareMachine('stranger'), { trusted: makeSoftwareMachine('known') })
  await expect(refused).rejects.toMatchObject({ code: 'evidence_refused' })
})
