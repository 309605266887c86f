import type { QflareDevice } from '../client/device.ts'
import { enrollDevice } from '../client/enroll-device.ts'
import { QflareError } from '../client/errors.ts'
import { createMemoryStore } from '../client/memory-store.ts'
import type { QflareOperator } from '../client/operator.ts'
import type { PrincipalKind } from '../protocol/enrollment.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { SoftwareMachine } from './software-machine.ts'

/** By it an operator finds what a demo left: `qflare device list --type qflare-demo`. */
export const DEMO_TYPE = 'qflare-demo'
const TOKEN_TTL_SECONDS = 600

export interface Member {
  name: string
  token: string
  tokenId: string
  /** What vouches for it. */
  machine: SoftwareMachine
  device: QflareDevice
  deviceId: string
}

export interface Server {
  url: string
  allowInsecureHttp: boolean
  crypto: Primitives
}

/** A one-time token for each name, in one request, for machines that the policy admits. */
export async function makeTokens(
  operator: QflareOperator,
  names: readonly string[],
  { kind, policyId }: { kind: PrincipalKind; policyId: string },
): Promise<Pick<Member, 'name' | 'token' | 'tokenId'>[]> {
  const wishes = names.map((name) => {
    return { kind, name, type: DEMO_TYPE, capabilities: ['training'], policyId, ttlSeconds: TOKEN_TTL_SECONDS }
  })
  const made = await operator.createEnrollmentTokens(wishes)
  return names.map((name, index) => {
    const one = made[index]
    if (one === undefined) throw new Error(`There is no token for ${name} in the answer.`)
    return { name, token: one.token, tokenId: one.id }
  })
}

/** Makes an identity key, which never leaves this process, and enrols it with the evidence of its machine. */
export async function enrollMember(
  server: Server,
  {
    name,
    token,
    tokenId,
    machine,
    kind = 'device',
  }: Pick<Member, 'name' | 'token' | 'tokenId' | 'machine'> & { kind?: PrincipalKind },
): Promise<Member> {
  const attesters = [machine.attester]
  const device = await enrollDevice({ ...server, name, token, kind, attesters, store: createMemoryStore() })
  const { deviceId } = await device.status()
  return { name, token, tokenId, machine, device, deviceId }
}

/** With a token for this alone. */
export async function enrollCoordinator(
  server: Server,
  operator: QflareOperator,
  { name, machine, policyId }: { name: string; machine: SoftwareMachine; policyId: string },
): Promise<Member> {
  const [made] = await makeTokens(operator, [name], { kind: 'coordinator', policyId })
  if (made === undefined) throw new Error(`There is no token for ${name}.`)
  return enrollMember(server, { ...made, machine, kind: 'coordinator' })
}

/**
 * Resolves only when the device has checked the service's tag and the service the device's confirmation: both are made from the
 * key that each end derived, so that then, and only then, it is the same.
 */
export async function exchangeKeys(member: Member): Promise<Member> {
  await member.device.exchange()
  return member
}

/** The fingerprint of the device's encryption key: what may be shown of it. */
export async function deriveFingerprint(member: Member, crypto: Primitives): Promise<string> {
  const { key } = await member.device.key('encryption')
  const fingerprint = Buffer.from(crypto.hash256(key).subarray(0, 8)).toString('hex')
  key.fill(0)
  return fingerprint
}

/** The service refuses with exactly this code, or the demo has found something. */
export async function expectRefusal(name: string, code: string, act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (error instanceof QflareError && error.code === code) return
    throw error
  }
  throw new Error(`${name} was served, and should have been refused (${code}).`)
}

/** Without a revocation the fleet of every demo would stay in the list as ACTIVE. */
export async function revokeMember(operator: QflareOperator, { deviceId }: { deviceId: string }): Promise<void> {
  await operator.revokeDevice(deviceId)
}

/** It exchanges anew: its sessions from before stay ended. */
export async function resumeAndExchange(operator: QflareOperator, member: Member): Promise<Member> {
  await operator.resumeDevice(member.deviceId)
  return exchangeKeys(member)
}
