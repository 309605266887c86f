// A round of QFLARE from both ends, and the check of its certificate, written from docs/protocol.md §5 and §7 alone.
import crypto from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyProof, vkeysOfBundle } from './independent-log-verifier.js'
import {
  b64,
  call,
  checkBundle,
  checked,
  commKey,
  confirm,
  currentBucket,
  E,
  enrol,
  epochNow,
  exchange,
  H256,
  jcs,
  must,
  shape,
  text,
  u64,
  unb64,
  uuid,
  Verify,
} from './independent-protocol.js'

const PROVEN_WITHIN_MS = 15_000

/** A coordinator of its own runs a round with `own`, a device with its session and token, and with other members. */
export async function runRound(token, own, others) {
  const coordinator = await enrol(token, 'coordinator')
  const session = await exchange(coordinator, await currentBucket(coordinator.trust))
  const { accessToken: bearer } = await confirm(coordinator, session)
  const body = { name: coordinator.name, policy: 'development' }
  const { data: federation } = await call('POST', '/v1/federations', { body, bearer, expect: 201 })
  const members = [own.device.id, ...others]
  const path = `/v1/federations/${federation.id}`
  for (const id of members) await call('PUT', `${path}/members/${id}`, { bearer, expect: 204 })
  const opened = await call('POST', `${path}/rounds`, { body: { minParticipants: 1 }, bearer, expect: 201 })
  const names = { federationId: federation.id, round: opened.data.round, path: `${path}/rounds/${opened.data.round}` }
  const keys = await fetchKeys(names, session, bearer)
  const hasAll = keys.size === members.length && members.every((id) => keys.has(id))
  checked(hasAll, 'a key for each member of the federation')
  const ownKey = await deriveOwn(names, own)
  checked(
    crypto.timingSafeEqual(ownKey, keys.get(own.device.id).key),
    'the device derives the key that the coordinator has',
  )
  const aggregateHash = b64(crypto.randomBytes(32))
  await call('POST', `${names.path}/close`, { body: { aggregateHash }, bearer })
  const file = await fetchCertificate(names, bearer)
  checkCertificate(file, coordinator.trust.pin)
  must(file.certificate.aggregateHash === aggregateHash, 'the certificate is over another aggregate')
  const participant = checkCommitments(file.certificate, keys, own.device.id)
  const ear = text(own.device.answer.attestation.ear)
  checked(participant.attestationHash === b64(H256(ear)), 'the certificate names the EAR of the device by its hash')
  checked(participant.kid === own.device.kid && participant.tier === 'none', 'and its identity key and tier')
  return {
    federationId: names.federationId,
    round: names.round,
    keys: Object.fromEntries([...keys].map(([id, { key }]) => [id, b64(key)])),
    file: JSON.stringify(file),
  }
}

/** §5, Round keys: sealed under the coordinator's key of purpose `seal`. */
async function fetchKeys({ federationId, round, path }, session, bearer) {
  const { data } = await call('POST', `${path}/keys`, { body: {}, bearer })
  shape(data, 'epoch sealed refused', 'the round keys')
  shape(data.sealed, 'sessionId nonce ciphertext', 'the sealed keys')
  must(data.sealed.sessionId === session.sessionId, 'the keys are sealed for another session')
  const { epoch, chain } = epochNow(session)
  must(data.epoch === epoch, 'the keys are sealed in another epoch')
  const nonce = unb64(data.sealed.nonce, 12, 'the nonce of the round keys')
  const sealed = unb64(data.sealed.ciphertext, undefined, 'the round keys')
  const context = E('round keys', uuid(federationId), u64(round), nonce)
  const seal = commKey(session, chain, epoch, 'seal', context).subarray(0, 32)
  const cipher = crypto.createDecipheriv('aes-256-gcm', seal, nonce).setAAD(context).setAuthTag(sealed.subarray(-16))
  const plaintext = Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()])
  const { keys } = JSON.parse(plaintext)
  for (const one of keys) shape(one, 'deviceId sessionId epoch key', 'a round key')
  return new Map(keys.map(({ key, ...one }) => [one.deviceId, { ...one, key: unb64(key, 64, 'a round key') }]))
}

/** §5: the server says which session and epoch, and nothing more. */
async function deriveOwn({ federationId, round, path }, { session, bearer }) {
  const { data } = await call('GET', `${path}/membership`, { bearer })
  shape(data, 'sessionId epoch', 'the membership')
  const { epoch, chain } = epochNow(session)
  must(data.sessionId === session.sessionId && data.epoch === epoch, 'the membership is of another session or epoch')
  return commKey(session, chain, epoch, 'round', E('round', uuid(federationId), u64(round)))
}

async function fetchCertificate({ path }, bearer) {
  const deadline = Date.now() + PROVEN_WITHIN_MS
  for (;;) {
    const { data } = await call('GET', `${path}/certificate`, { bearer })
    if (data.proof !== null) return data
    must(Date.now() < deadline, 'the log does not come to cover the end of the round')
    await sleep(200)
  }
}

/** §5, Round certificate: the five steps, under the pin of a root key. */
export function checkCertificate(file, pin) {
  shape(file, 'certificate signature event proof trust', 'the file of a certificate')
  const { certificate, signature, event } = file
  const members = 'v trustDomain organizationId federationId round state policy minParticipants openedAt closedAt'
  shape(certificate, `${members} aggregateHash participants`, 'the certificate')
  const ids = certificate.participants.map(({ deviceId }) => deviceId)
  const isSorted = ids.every((id, at) => at === 0 || ids[at - 1] < id)
  must(isSorted, 'participants are not sorted, or one is there twice')
  const isEnough = ids.length >= certificate.minParticipants
  must(certificate.state === (isEnough ? 'CLOSED' : 'FAILED'), 'the state does not follow from the participants')
  must(certificate.openedAt <= certificate.closedAt, 'closed before it was opened')
  must(file.trust.length === 1, 'no key was rotated here')
  const bundle = file.trust[0]
  const signer = checkBundle(bundle, pin).keys.get(signature.kid)
  must(signer?.use === 'attestation' && bundle.trustDomain === certificate.trustDomain, 'no key that may sign this')
  const signed = E('QFLARE-v1 round', jcs(certificate))
  Verify(signer.key, signed, 'QFLARE-v1 round', signature.signature, 'the round certificate')
  const { federationId, round, organizationId } = certificate
  const isOfRound = event.subject.federationId === federationId && event.subject.round === round
  must(isOfRound && event.organizationId === organizationId, 'the event is of another round')
  must(event.type === `round.${certificate.state.toLowerCase()}`, 'the event is of another type')
  checked(event.data.certificateHash === b64(H256(signed)), 'the event carries the hash of the certificate')
  const { checkpoint } = verifyProof(file.proof, event, vkeysOfBundle(bundle))
  checked(checkpoint.origin === `${certificate.trustDomain}/audit`, 'the end of the round is in the signed log')
}

/** Of each participant, that the certificate commits to the key that the coordinator has. The participant of `own`. */
function checkCommitments({ federationId, round, participants }, keys, own) {
  for (const { deviceId, sessionId, epoch, commitment } of participants) {
    const { key } = keys.get(deviceId)
    const of = [uuid(deviceId), uuid(sessionId), u64(epoch), uuid(federationId), u64(round), key]
    must(
      commitment === b64(H256(E('QFLARE-v1 round commitment', ...of))),
      `another key is committed to for ${deviceId}`,
    )
  }
  checked(participants.length === keys.size, 'the certificate commits to the key of each participant')
  return participants.find(({ deviceId }) => deviceId === own)
}
