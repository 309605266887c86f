import { type Json, toBase64url } from '../../protocol/encoding.ts'
import {
  call,
  createToken,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
  openExchange,
  signCompletion,
  startEnrollment,
} from './api.ts'
import { signAttestation, startAttestation } from './attestation.ts'
import { psaWish, referenceWish } from './attestation-inputs.ts'
import { crlWish } from './crl.ts'
import { signRotation, startRotation } from './identity-rotation.ts'
import { addIncident, monitorWish } from './incidents.ts'
import { noneDocument } from './policies.ts'
import { askKeys, enterService, makeFederation, openRound } from './rounds.ts'
import type { TestService } from './service.ts'

/** Every route that takes a body, by a name for it. */
export const bodyRoutes = {
  organization: 'POST /v1/organizations',
  apiToken: 'POST /v1/api-tokens',
  token: 'POST /v1/enrollment-tokens',
  tokens: 'POST /v1/enrollment-tokens/bulk',
  start: 'POST /v1/enrollments',
  complete: 'POST /v1/enrollments/:id/complete',
  credential: 'POST /v1/enrollments/:id/credential',
  attestation: 'POST /v1/attestations',
  attested: 'POST /v1/attestations/:id',
  change: 'PATCH /v1/devices/:id',
  suspend: 'POST /v1/devices/:id/suspend',
  resume: 'POST /v1/devices/:id/resume',
  clear: 'POST /v1/devices/:id/clear-quarantine',
  lift: 'POST /v1/devices/:id/lift-restrictions',
  revoke: 'POST /v1/devices/:id/revoke',
  rotate: 'POST /v1/devices/:id/rotate-identity',
  rotated: 'POST /v1/devices/:id/rotate-identity/:challengeId',
  exchange: 'POST /v1/exchanges',
  confirm: 'POST /v1/exchanges/:id/confirm',
  renew: 'POST /v1/sessions/:id/tokens',
  federation: 'POST /v1/federations',
  round: 'POST /v1/federations/:id/rounds',
  roundKeys: 'POST /v1/federations/:id/rounds/:round/keys',
  membership: 'POST /v1/federations/:id/rounds/:round/membership',
  close: 'POST /v1/federations/:id/rounds/:round/close',
  runJob: 'POST /v1/jobs/:name/run',
  retryJob: 'POST /v1/jobs/failed/:run/retry',
  trust: 'POST /v1/trust',
  policy: 'POST /v1/policies',
  anchor: 'POST /v1/trust-anchors',
  reference: 'POST /v1/reference-values',
  collateral: 'POST /v1/collateral',
  acknowledge: 'POST /v1/incidents/:id/acknowledge',
  resolve: 'POST /v1/incidents/:id/resolve',
  monitor: 'PUT /v1/monitor-settings',
} as const
export type BodyRouteName = keyof typeof bodyRoutes
export const bodyRouteNames = Object.keys(bodyRoutes) as BodyRouteName[]

/** Where it is not 65,536. */
export const maxBodyBytes: Partial<Record<BodyRouteName, number>> = {
  complete: 1_048_576,
  credential: 1_048_576,
  attested: 1_048_576,
  rotated: 1_048_576,
  tokens: 262_144,
  roundKeys: 524_288,
  close: 524_288,
  trust: 524_288,
  anchor: 524_288,
  reference: 524_288,
  collateral: 4_325_376,
}

/** Whose members are those of a format of evidence: none is named, none is known. */
export const openBodies: ReadonlySet<BodyRouteName> = new Set(['credential'])

/** Members that a body of `makeBodyRequests` may be without. */
export const optionalMembers = new Set(
  [
    ['token', 'name', 'policyId', 'ttlSeconds'],
    ['complete', 'metadata'],
    ['change', 'name'],
    ['federation', 'policy'],
    ['round', 'round', 'minParticipants'],
    ['roundKeys', 'deviceIds'],
    ['membership', 'sessionId', 'epoch'],
    ['close', 'aggregateHash', 'participants'],
    ['monitor', 'dryRun', 'responsesPerHour', 'slowMinutes', 'rules'],
  ].flatMap(([name, ...members]) => members.map((member) => `${name}.${member}`)),
)

export interface BodyRequest {
  method: string
  path: string
  token: string
  body: Record<string, Json>
}

/** A request of each kind that would be taken, or refused for a reason of its own only. */
export async function makeBodyRequests(service: TestService): Promise<Record<BodyRouteName, BodyRequest>> {
  const device = await enrollTestDevice(service)
  const { deviceId } = device
  const { credential } = await createToken(service)
  const started = await startEnrollment(service, credential)
  const opened = await openExchange(service, device)
  const { wire } = await initiate(service, device)
  const rotating = await enrollTestDevice(service)
  const { accessToken } = await establish(service, rotating)
  const { challengeId, ...rotation } = await startRotation(service, rotating, accessToken)
  const attesting = await enterService(service)
  const { attestationId, ...attestation } = await startAttestation(service, attesting)
  const confirmation = toBase64url(opened.deviceConfirmation)
  const nonce = toBase64url(new Uint8Array(32))

  const coordinator = await enterService(service, 'coordinator')
  const member = await enterService(service)
  const federation = await makeFederation(service, coordinator, [member])
  const round = await openRound(service, coordinator, federation)
  await askKeys(service, coordinator, round)
  const ofRound = [federation.id, String(round.round)]
  const members = [member.deviceId]
  const { sessionId, epoch } = member

  /** What the path names in its order, the body, and whose token it is where it is not an admin's. */
  const wishes: Record<BodyRouteName, [named: string[], body: Record<string, Json>, token?: string]> = {
    organization: [[], { name: 'tenant' }],
    apiToken: [[], { name: 'script', roles: ['auditor'] }],
    token: [[], { kind: 'device', name: 'edge', policyId: 'none', ttlSeconds: 60 }],
    tokens: [[], { items: [{ kind: 'device' }] }],
    start: [[], { token: credential }],
    complete: [[started.enrollmentId], signCompletion(started, makeIdentity().identityKey)],
    credential: [[started.enrollmentId], { akPublic: 'AA' }],
    attestation: [[], {}, attesting.accessToken],
    attested: [[attestationId], signAttestation(attesting, attestation), attesting.accessToken],
    change: [[deviceId], { name: 'other' }],
    suspend: [[deviceId], {}],
    resume: [[deviceId], {}],
    clear: [[deviceId], {}],
    lift: [[deviceId], {}],
    revoke: [[deviceId], {}],
    rotate: [[rotating.deviceId], {}, accessToken],
    rotated: [[rotating.deviceId, challengeId], signRotation(rotating, rotation, makeIdentity().identityKey)],
    exchange: [[], wire],
    confirm: [[opened.sessionId], { deviceId, confirmation }],
    renew: [[opened.sessionId], { deviceId, epoch: wire.bucket as number, nonce, proof: confirmation }],
    federation: [[], { name: 'hospitals', policy: 'development' }, coordinator.accessToken],
    round: [[federation.id], { round: 7, minParticipants: 1 }, coordinator.accessToken],
    roundKeys: [ofRound, { deviceIds: members }, coordinator.accessToken],
    membership: [ofRound, { status: 'epoch_gone', sessionId, epoch }, member.accessToken],
    close: [ofRound, { aggregateHash: nonce, participants: members }, coordinator.accessToken],
    runJob: [['idle'], {}],
    retryJob: [['long:1'], {}],
    trust: [[], (await call(service, 'GET', '/v1/trust')).body.items.at(-1)],
    policy: [[], { name: 'edge', policy: { ...noneDocument, description: 'of the edge' } }],
    anchor: [[], psaWish()],
    reference: [[], referenceWish()],
    collateral: [[], crlWish()],
    acknowledge: [[await addIncident(service)], {}],
    resolve: [[await addIncident(service)], {}],
    monitor: [[], monitorWish() as Record<string, Json>],
  }
  const requests = bodyRouteNames.map((name): [BodyRouteName, BodyRequest] => {
    const [method = '', path = ''] = bodyRoutes[name].split(' ')
    const [named, body, token = service.adminToken] = wishes[name]
    const parts = named.values()
    return [name, { method, path: path.replace(/:\w+/g, () => parts.next().value ?? ''), token, body }]
  })
  return Object.fromEntries(requests) as Record<BodyRouteName, BodyRequest>
}
