import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCrl } from '../support/crl.ts'
import { derTime } from '../support/der.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let folder: string

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-collateral-'))
  writeFileSync(join(folder, 'admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const qflare = (...args: string[]) =>
  runHere(['collateral', ...args], {
    env: { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') },
  })

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const hour = 3_600_000
const crl = (issuer: string, issuedAgo: number, endsIn: number) =>
  makeCrl({ issuer, thisUpdate: derTime(Date.now() - issuedAgo), nextUpdate: derTime(Date.now() + endsIn) })

describe('qflare collateral', () => {
  it('imports a revocation list, in DER as in PEM, shows, lists and removes it', async () => {
    const der = crl('One', hour, hour)
    const first = await qflare('import', write('one.crl', der), '--name', 'the list', '--json')
    expect(first.exitCode).toBe(0)
    const { isNew, collateral } = JSON.parse(first.stdout)
    expect([isNew, collateral.kind, collateral.name]).toEqual([true, 'crl', 'the list'])
    const pem = `-----BEGIN X509 CRL-----\n${der.toString('base64')}\n-----END X509 CRL-----\n`
    expect((await qflare('import', write('one.pem', pem))).stdout).toContain('crl the list was there before')
    expect((await qflare('list', '--kind', 'crl')).stdout).toMatch(
      new RegExp(`^ID .*\n${collateral.id} +crl +yes .* the list$`),
    )
    const shown = await qflare('show', collateral.id)
    expect(shown.stdout).toMatch(/bytes +\d+\nSHA-256 +[0-9a-f]{64}/)
    for (const _ of [1, 2]) expect((await qflare('remove', collateral.id)).stdout).toBe(`${collateral.id} is removed.`)
    expect((await qflare('list')).stdout).toBe('There are no such collateral.')
  })

  it('says that a list is out of date, and imports it all the same', async () => {
    const run = await qflare('import', write('old.crl', crl('Old', 2 * hour, -hour)))
    expect(run).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('It is out of date') })
    expect((await qflare('list')).stdout).toMatch(/ISSUED +ENDS .*\n.* 2 h ago +ENDED 60 min ago /)
  })

  it('shows how old a list is and when it ends, and with the times themselves what is asked for', async () => {
    const imported = await qflare('import', write('long.crl', crl('Long', 30 * 24 * hour, 80 * hour)), '--json')
    const { id } = JSON.parse(imported.stdout).collateral
    const line = (await qflare('list')).stdout.split('\n').find((one) => one.startsWith(id))
    expect(line).toMatch(/^\S+ +crl +yes +30 d ago +in 3 d +revocation list of /)
    const shown = (await qflare('show', id)).stdout
    expect(shown).toMatch(/issued +\S+Z \(30 d ago\)\nend +\S+Z \(in 3 d\)/)
  })

  it('refuses one that is older than that which is there', async () => {
    await qflare('import', write('newer.crl', crl('Two', hour, hour)))
    const run = await qflare('import', write('older.crl', crl('Two', 3 * hour, hour)))
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('and the one that is there at') })
  })

  it('imports what Google publishes of keys of phones', async () => {
    const list = { entries: { '2c8cdddfd5e03bfc': { status: 'REVOKED', reason: 'KEY_COMPROMISE' } } }
    const run = await qflare('import', write('status.json', JSON.stringify(list)))
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('android-status-list') })
    expect(run.stdout).toContain('names no end')
  })

  it.each<[number, string, () => string[]]>([
    [4, 'is no collateral that is known here', () => ['import', write('nothing', 'nothing')]],
    [4, 'is no collateral that is known here', () => ['import', write('other.json', '{"a":1}')]],
    [4, 'is not JSON', () => ['import', write('half.json', '{"entries":')]],
    [1, 'DER', () => ['import', write('no.crl', Buffer.of(0x30, 5, 1))]],
    [2, 'needs its certificates: --chain FILE', () => ['import', write('tcb.json', '{"tcbInfo":{}}')]],
    [2, 'has no --chain', () => ['import', write('three.crl', crl('Three', hour, hour)), '--chain', 'chain.pem']],
    [
      1,
      'malformed',
      () => [
        'import',
        write('tcb.json', '{"tcbInfo":{}}'),
        '--chain',
        write('chain.pem', '-----BEGIN%20CERTIFICATE-----%0AMAA%3D%0A-----END%20CERTIFICATE-----%0A'),
      ],
    ],
    [
      4,
      'no base64',
      () => [
        'import',
        write('tcb.json', '{"tcbInfo":{}}'),
        '--chain',
        write('bad.pem', '-----BEGIN%20CERTIFICATE-----%0AA%0A-----END%20CERTIFICATE-----%0A'),
      ],
    ],
    [2, 'ID is the id of', () => ['remove', 'x']],
    [1, 'not_found', () => ['show', crypto.randomUUID()]],
  ])('ends with %i and says %j', async (exitCode, said, args) => {
    const run = await qflare(...args())
    expect(run.exitCode, run.stderr).toBe(exitCode)
    expect(run.stderr).toContain(said)
  })
})
