import { expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { useRounds } from '../support/round-suite.ts'
import { makeApiToken } from '../support/tenants.ts'

const suite = useRounds({ limits: { apiToken: 1_000 } })

/** As many rows more as if keys had been given out for so many devices. */
async function addParticipants(count: number) {
  await suite.given([suite.first().deviceId])
  await suite.sql(
    `insert into round_participant select organization_id, federation_id, round, gen_random_uuid(), session_id, epoch,
      commitment, kid, tier, attestation_id, given_at from round_participant, generate_series(1, $2)
      where federation_id = $1`,
    [suite.federation.id, count],
  )
}

/** By how much each of these requests lowers what is left of a new token's limit. */
async function weigh(...paths: string[]) {
  const { token } = await makeApiToken(suite.service, ['operator'])
  const left: number[] = []
  for (const path of paths) {
    const { status, headers } = await call(suite.service, 'GET', path, { token })
    expect(status).toBe(200)
    left.push(Number(headers.get('ratelimit-remaining')))
  }
  return left.slice(1).map((after, index) => (left[index] ?? 0) - after)
}

test('a round is not closed for good with more participants than a certificate may name', async () => {
  await addParticipants(100_000)
  const close = (body: object) => suite.asCoordinator('POST', `${suite.round.path}/close`, body)
  const refused = await close({})
  expectRefusal(refused, 409, 'round_state')
  expect(refused.body.detail).toMatch(/100000/)
  const closed = await close({ participants: [suite.first().deviceId] })
  expect(closed.body.certificate).toMatchObject({
    state: 'CLOSED',
    participants: [{ deviceId: suite.first().deviceId }],
  })
})

test('a page of rounds counts as a request for each 10,000 devices whose keys it counts', async () => {
  const { path } = suite.federation
  expect(await weigh(path, `${path}/rounds`)).toEqual([1])
  await addParticipants(20_000)
  expect(await weigh(path, `${path}/rounds`, path)).toEqual([3, 1])
})

test('a certificate counts as a request for each 500 devices in it', async () => {
  await addParticipants(1_000)
  const certificate = `${suite.round.path}/certificate`
  expect((await suite.asCoordinator('POST', `${suite.round.path}/close`, {})).status).toBe(200)
  expect(await weigh(suite.federation.path, certificate, suite.round.path)).toEqual([3, 1])
})
