// The part of independent-client.js that attests for its session: docs/protocol.md §8 and docs/api.md, Attesting again.
import { isDeepStrictEqual } from 'node:util'
import { b64, call, checked, E, H, jcs, Sign, shape, unb64, uuid } from './independent-protocol.js'

/** With the access token of the session, which is the ACTIVE one. */
export async function attest(device, { sessionId }, bearer) {
  const begin = () => call('POST', '/v1/attestations', { body: {}, bearer, expect: 201 })
  const { data: begun } = await begin()
  shape(begun, 'attestationId challenge expiresAt sessionId evidence', 'the begun attestation')
  checked(begun.sessionId === sessionId, 'it is for the session that asked')
  checked(isDeepStrictEqual(begun.evidence, ['none']), 'and wants what the policy of the token wants')
  checked(isDeepStrictEqual((await begin()).data, begun), 'a challenge of an attestation is given again')

  const evidence = [{ format: 'none', claims: { made: 'by a stranger' } }]
  const challenge = unb64(begun.challenge, 32, 'the challenge of the attestation')
  const digest = H(E('QFLARE-v1 evidence', jcs(evidence)))
  const signed = E('QFLARE-v1 reattest', uuid(device.id), device.kid, uuid(sessionId), challenge, digest)
  const path = `/v1/attestations/${begun.attestationId}`
  const submit = (context, expect) => {
    const body = { evidence, signature: b64(Sign(device.key, signed, context)) }
    return { body, send: () => call('POST', path, { body, bearer, expect }) }
  }
  const { data: refused } = await submit('QFLARE-v1 rotate', 401).send()
  checked(refused.code === 'attestation_refused', 'a signature for something else is refused')
  const right = submit('QFLARE-v1 reattest', 200)
  const { data: answer } = await right.send()
  shape(answer, 'deviceId status attestation', 'the attestation')
  shape(answer.attestation, 'id tier policyId appraisedAt expiresAt ear', 'its result')
  checked(answer.deviceId === device.id && answer.status === 'ACTIVE', 'the device stays what it is')
  checked(isDeepStrictEqual((await right.send()).data, answer), 'the same attestation, the same answer')
  const { data: spent } = await call('POST', path, { body: submit('QFLARE-v1 reattest').body, bearer, expect: 409 })
  checked(spent.code === 'challenge_expired', 'its challenge is answered once')
}
