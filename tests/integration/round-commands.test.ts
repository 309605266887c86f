import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createToken } from '../support/api.ts'
import { runHere } from '../support/run-here.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

/** From a federation to a certificate, as operator, coordinator, device and auditor type it. */

let service: TestService
let folder: string
let env: Record<string, string>
let pin: string
let federation: string
/** Ids by the name of the state file. */
const ids: Record<string, string> = {}

const inFolder = (name: string) => join(folder, name)
const qflare = (line: string, more: Record<string, string> = {}) =>
  runHere(line.split(' '), { env: { ...env, ...more } })
async function succeed(line: string, more: Record<string, string> = {}): Promise<string> {
  const run = await qflare(line, more)
  expect(run, line).toMatchObject({ exitCode: 0 })
  return run.stdout
}
/** What these commands print, each some of it. */
interface Shown {
  id: string
  items: { deviceId: string }[]
  keys: Record<string, unknown>[]
  refused: unknown
  file: string
  fingerprint: string
}
const json = async (line: string) => JSON.parse(await succeed(`${line} --json`)) as Shown
const as = (who: string) => `--state ${inFolder(`${who}.json`)}`

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-round-commands-'))
  writeFileSync(inFolder('admin-token'), service.adminToken, { mode: 0o600 })
  const { token } = await makeApiToken(service, ['auditor'])
  writeFileSync(inFolder('auditor-token'), token, { mode: 0o600 })
  env = { QFLARE_URL: service.url, QFLARE_DATA_DIR: folder }
  for (const who of ['coordinator', 'edge-1', 'edge-2']) {
    const kind = who === 'coordinator' ? 'coordinator' : 'device'
    const made = await createToken(service, { kind })
    pin = made.pin
    const enrolled = `enroll --kind ${kind} --name ${who} ${as(who)} --json`
    ids[who] = JSON.parse(await succeed(enrolled, { QFLARE_ENROLLMENT_TOKEN: made.token })).deviceId
  }
  for (const who of ['coordinator', 'edge-1']) await succeed(`exchange ${as(who)}`)
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

describe('qflare federation', () => {
  it('makes a federation, and says who is in it', async () => {
    const made = await json('federation create north --policy development')
    federation = made.id
    expect(made).toMatchObject({ name: 'north', policy: 'development' })
    expect(await succeed('federation list')).toMatch(new RegExp(`^${federation}  north  development`, 'm'))
    await succeed(`federation add-coordinator ${federation} ${ids['coordinator']}`)
    for (const who of ['edge-1', 'edge-2', 'edge-1']) await succeed(`federation add-member ${federation} ${ids[who]}`)
    expect(await json(`federation show ${federation} ${as('coordinator')}`)).toMatchObject({ members: 2 })
    const { items } = await json(`federation members ${federation}`)
    expect(new Set(items.map(({ deviceId }) => deviceId))).toEqual(new Set([ids['edge-1'], ids['edge-2']]))
  })

  it('refuses what is no device, and a name that is there already', async () => {
    expect(await qflare(`federation add-member ${federation} edge-1`)).toMatchObject({ exitCode: 2 })
    expect(await qflare(`federation add-member ${federation} ${ids['coordinator']}`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('not_found'),
    })
    expect(await qflare('federation create north')).toMatchObject({ exitCode: 1 })
    expect(await qflare('federation create north --policy lax')).toMatchObject({ exitCode: 2 })
  })
})

describe('qflare round', { timeout: 30_000 }, () => {
  it('gives the coordinator and the device one key, which is not shown by accident', async () => {
    expect(await succeed(`round open ${federation} --min-participants 1 ${as('coordinator')}`)).toBe('1')
    const shown = await succeed(`round keys ${federation} 1 ${as('coordinator')}`)
    expect(shown).toMatch(new RegExp(`^${ids['edge-2']}  refused +no_session$`, 'm'))
    const out = inFolder('keys.json')
    const { keys, refused, file } = await json(`round keys ${federation} 1 --out ${out} ${as('coordinator')}`)
    expect({ refused, file }).toEqual({ refused: [{ deviceId: ids['edge-2'], code: 'no_session' }], file: out })
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const written = JSON.parse(readFileSync(out, 'utf8')).keys[0]
    const own = inFolder('own.key')
    const said = await json(`round key ${federation} 1 --out ${own} ${as('edge-1')}`)
    expect(said).toMatchObject({ federation, round: 1, sizeBytes: 64 })
    const key = readFileSync(own)
    expect(key.toString('base64url')).toBe(written.key)
    const { deviceId, sessionId, epoch } = written
    expect(keys).toEqual([{ deviceId, sessionId, epoch, fingerprint: said.fingerprint }])
    expect(said.fingerprint).toBe(Buffer.from(crypto.hash256(key).subarray(0, 16)).toString('hex'))
    expect(shown + JSON.stringify([keys, said])).not.toContain(written.key)
    expect(await succeed(`round key ${federation} 1 --reveal ${as('edge-1')}`)).toContain(written.key)
    expect(await succeed(`round keys ${federation} 1 --reveal ${as('coordinator')}`)).toContain(written.key)
    expect((await json(`round keys ${federation} 1 --device ${ids['edge-2']} ${as('coordinator')}`)).keys).toEqual([])
  })

  it('has no keys for who may not have them', async () => {
    expect(await qflare(`round key ${federation} 1 ${as('edge-2')}`)).toMatchObject({ exitCode: 4 })
    expect(await qflare(`round keys ${federation} 1 ${as('edge-1')}`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('forbidden'),
    })
    expect(await qflare(`round keys ${federation} 1 --reveal --out x ${as('coordinator')}`)).toMatchObject({
      exitCode: 2,
    })
    expect(await qflare(`round keys ${federation} first ${as('coordinator')}`)).toMatchObject({ exitCode: 2 })
  })

  it('closes with a certificate that an auditor fetches, and anyone verifies offline', async () => {
    const aggregate = Buffer.alloc(32, 7).toString('base64url')
    const close = `round close ${federation} 1 --aggregate ${aggregate} ${as('coordinator')}`
    for (const _ of [1, 2]) expect(await json(close)).toMatchObject({ state: 'CLOSED', participants: 1 })
    expect(await qflare(`round close ${federation} 1 --aggregate short ${as('coordinator')}`)).toMatchObject({
      exitCode: 2,
    })
    expect(await succeed(`round list ${federation}`)).toMatch(/^1 +CLOSED +1 of at least 1 /m)
    expect(await json(`round show ${federation} 1`)).toMatchObject({ state: 'CLOSED', aggregateHash: aggregate })

    const files = { auditor: inFolder('auditor.json'), coordinator: inFolder('coordinator-round.json') }
    const auditor = { QFLARE_ADMIN_TOKEN_FILE: inFolder('auditor-token') }
    await succeed(`audit key --pin ${pin} --out ${inFolder('audit.vkey')}`)
    const fetched = `round certificate ${federation} 1 --pin ${pin} --out ${files.auditor}`
    expect(await succeed(fetched, auditor)).toMatch(/^verified +yes$/m)
    expect(await qflare(fetched, auditor), 'writes over nothing').toMatchObject({ exitCode: 4 })
    const own = `round certificate ${federation} 1 --out ${files.coordinator} ${as('coordinator')}`
    expect(await succeed(own)).toMatch(/^verified +yes$/m)
    const wrong = Buffer.alloc(16).toString('base64url')
    expect(await qflare(`round certificate ${federation} 1 --pin ${wrong} --out ${inFolder('none')}`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('trust_invalid'),
    })

    const offline = { QFLARE_URL: 'http://127.0.0.1:9' }
    for (const file of Object.values(files)) {
      const flags = `--pin ${pin} --key ${inFolder('audit.vkey')} --device ${ids['edge-1']} --round-key ${inFolder('own.key')}`
      const report = await succeed(`round verify ${file} ${flags}`, offline)
      expect(report).toMatch(/^verified +yes$/m)
      expect(report).toMatch(new RegExp(`^${ids['edge-1']} +none `, 'm'))
    }
    expect(await qflare(`round keys ${federation} 1 ${as('coordinator')}`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('round_state'),
    })
  })

  it('fails with too few, which is certified too', async () => {
    expect(await succeed(`round open ${federation} --round 5 --min-participants 2`)).toBe('5')
    await succeed(`round keys ${federation} 5 ${as('coordinator')}`)
    expect(await succeed(`round close ${federation} 5 ${as('coordinator')}`)).toBe(
      'Round 5 is FAILED, with 1 of at least 2 participants.',
    )
    const file = inFolder('failed.json')
    await succeed(`round certificate ${federation} 5 --out ${file}`)
    expect(await succeed(`round verify ${file} --pin ${pin}`)).toMatch(/^round +5, FAILED$/m)
    expect(await qflare(`round open ${federation} --round 5`)).toMatchObject({ exitCode: 1 })
  })
})

it('qflare federation takes a device and a coordinator out again', async () => {
  await succeed(`federation remove-member ${federation} ${ids['edge-2']}`)
  await succeed(`federation remove-coordinator ${federation} ${ids['coordinator']}`)
  expect((await json(`federation members ${federation}`)).items).toHaveLength(1)
  expect(await qflare(`round open ${federation} ${as('coordinator')}`)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('not_found'),
  })
})
