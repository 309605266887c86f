import type { QflareAttestationInputs } from '../client/attestation-inputs.ts'
import type { QflareAttestations } from '../client/attestations.ts'
import type { QflareOperator } from '../client/operator.ts'
import type { TrustworthinessTier } from '../protocol/attestation/ear.ts'
import { exchangeKeys, type Member } from './fleet.ts'
import { releasedFirmware, type SoftwareMachine } from './software-machine.ts'

/** Of policy and reference value. They are the same in every run, so that a second one adds nothing. */
const NAME = 'qflare-demo'
/** Of one request. */
const MAX_KEYS = 500

const policy = {
  v: 1,
  description: 'The demo: a secured machine of a known key that booted what was released, and nothing else.',
  evidence: {
    psa: { rules: { lifecycles: ['secured'], unlisted: 'contraindicated' }, referenceValues: [NAME] },
  },
  enroll: ['affirming'],
}

export interface TrustedFleet {
  policyId: string
  anchorIds: readonly string[]
}

/** The operator's part: the key of each machine, what was released, and a policy that asks for both. */
export async function trustFleet(
  { operator, inputs }: { operator: QflareOperator; inputs: QflareAttestationInputs },
  machines: readonly SoftwareMachine[],
): Promise<TrustedFleet> {
  await inputs.addReferenceValues({ format: 'psa', name: NAME, values: [releasedFirmware] })
  const { id } = await operator.createPolicy({ name: NAME, policy })
  const anchorIds: string[] = []
  for (let first = 0; first < machines.length; first += MAX_KEYS) {
    const keys = machines.slice(first, first + MAX_KEYS).map(({ anchor }) => anchor)
    const { items } = await inputs.addTrustAnchors({ format: 'psa', keys })
    anchorIds.push(...items.map(({ trustAnchor }) => trustAnchor.id))
  }
  return { policyId: id, anchorIds }
}

/** Fresh evidence of the session that it has, and what the service made of it. */
export async function attestAs(member: Member, expected: TrustworthinessTier): Promise<Member> {
  const { attestation } = await member.device.attest()
  if (attestation.tier === expected) return member
  throw new Error(`${member.name} was found ${attestation.tier}, and should have been ${expected}.`)
}

/**
 * The machine boots what nobody released, and tells so itself: its key signs what it measured. The service has to see it, and to
 * quarantine this device. Gives the checks that it failed.
 */
export async function attestTampered(
  { operator, attestations }: { operator: QflareOperator; attestations: QflareAttestations },
  member: Member,
): Promise<string[]> {
  member.machine.boot('tampered')
  await attestAs(member, 'contraindicated')
  const { status } = await operator.getDevice(member.deviceId)
  if (status !== 'QUARANTINED') throw new Error(`${member.name} is ${status}, and should have been QUARANTINED.`)
  const [newest] = (await attestations.listAttestations({ deviceId: member.deviceId, limit: 1 })).items
  return Object.values(newest?.findings ?? {})
    .flat()
    .filter(({ value }) => value >= CONTRAINDICATED)
    .map(({ check }) => check)
}

/** AR4SI. */
const CONTRAINDICATED = 96

/** With what was released again; its sessions of before stay ended. */
export async function clearAndReturn(operator: QflareOperator, member: Member): Promise<Member> {
  member.machine.boot('released')
  await operator.clearQuarantine(member.deviceId)
  return attestAs(await exchangeKeys(member), 'affirming')
}
