import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openAuditor } from '../../client/auditor.ts'
import { createExportVerifier } from '../../protocol/log/audit-export.ts'
import { formatVerifierKey } from '../../protocol/log/verifier-key.ts'
import { createToken, enrollTestDevice, establish } from '../support/api.ts'
import { firstOrganization, logEvents } from '../support/audit.ts'
import { makeSigner } from '../support/memory-log.ts'
import { runHere } from '../support/run-here.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant, type Tenant } from '../support/tenants.ts'

describe.each(['default', 'cnsa-2.0'] as const)('the audit commands against a service of profile %s', (profile) => {
  let service: TestService
  let other: Tenant
  let folder: string
  let pin: string
  let deviceId: string

  beforeAll(async () => {
    service = await startTestService({ profile })
    folder = mkdtempSync(join(tmpdir(), 'qflare-audit-'))
    other = await makeTenant(service, 'other')
    writeFileSync(inFolder('auditor'), (await makeApiToken(service, ['auditor'])).token)
    writeFileSync(inFolder('operator'), (await makeApiToken(service, ['operator'])).token)
    writeFileSync(inFolder('other'), other.adminToken)
    const alg = profile === 'default' ? 'ML-DSA-44' : 'ML-DSA-87'
    const device = await enrollTestDevice(service, { alg })
    await establish(service, device)
    deviceId = device.deviceId
    pin = (await createToken(service)).pin
    // Of two organizations, over more than one tile.
    await logEvents(service, await firstOrganization(service), 300)
    await logEvents(service, other.organizationId, 20)
  })
  afterAll(async () => {
    await service.close()
    rmSync(folder, { recursive: true })
  })

  const inFolder = (name: string) => join(folder, name)

  function audit(args: readonly string[], token = 'auditor') {
    const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: inFolder(token) }
    return runHere(['audit', ...args], { env })
  }

  async function succeed(args: readonly string[], token?: string) {
    const run = await audit(args, token)
    expect(run, args.join(' ')).toMatchObject({ exitCode: 0 })
    return run.stdout
  }

  const size = async () => {
    const { rows } = await service.database.sql.query<{ count: number }>('select count(*)::int from audit_entry')
    return rows[0]?.count ?? 0
  }

  it('take the keys of the log from the trust bundle, under the pin', async () => {
    const lines = (await succeed(['key', '--pin', pin, '--out', inFolder('log.vkey'), '--json'])).trim()
    const { origin, pinned, keys } = JSON.parse(lines) as { origin: string; pinned: boolean; keys: { key: string }[] }
    expect({ origin, pinned }).toEqual({ origin: 'test.example/audit', pinned: true })
    expect(keys.map(({ key }) => key)).toEqual(service.log.keys.map(formatVerifierKey))
    expect(readFileSync(inFolder('log.vkey'), 'utf8').trim().split('\n')).toHaveLength(profile === 'default' ? 1 : 2)
  })

  it('find an event, show it, prove it, and verify the proof', async () => {
    const found = JSON.parse(await succeed(['events', '--device', deviceId, '--json'])) as {
      items: { index: number; event: { id: string; type: string } }[]
    }
    expect(found.items.map(({ event }) => event.type)).toEqual([
      'session.established',
      'session.opened',
      'device.enrolled',
    ])
    const [established] = found.items
    const id = established?.event.id ?? ''
    expect(JSON.parse(await succeed(['show', id, '--json']))).toEqual(established)
    await succeed(['proof', id, '--key', inFolder('log.vkey'), '--out', inFolder('evidence')])
    const report = await succeed(['verify', inFolder('evidence.tlog-proof'), '--key', inFolder('log.vkey'), '--json'])
    expect(JSON.parse(report)).toMatchObject({ verified: true, event: { id, index: established?.index } })
  })

  it('list all events, and the last ones, as the log has them', async () => {
    const { items } = JSON.parse(await succeed(['events', '--all', '--json'])) as { items: { index: number }[] }
    const indexes = items.map(({ index }) => index)
    expect(indexes).toEqual(indexes.toSorted((a, b) => b - a))
    const tail = (await succeed(['tail', '--limit', '5', '--json'])).split('\n')
    expect(tail.map((line) => (JSON.parse(line) as { index: number }).index)).toEqual(indexes.slice(0, 5).toReversed())
  })

  it('export the log, in which the own events are read and another organization’s are hashes', async () => {
    const total = await size()
    const report = async (token: string) =>
      JSON.parse(await succeed(['export', '--pin', pin, '--out', inFolder(`${token}.jsonl`), '--json'], token)) as {
        entries: { to: number; events: number; hashesOnly: number }
      }
    const [own, others] = [await report('auditor'), await report('other')]
    for (const { entries } of [own, others]) {
      expect(entries.to).toBe(total)
      expect(entries.events + entries.hashesOnly).toBe(total)
    }
    expect(own.entries.events).toBeGreaterThan(300)
    expect(others.entries.events).toBeLessThan(own.entries.hashesOnly + 20)
    for (const name of ['auditor', 'other']) {
      await succeed(['verify', inFolder(`${name}.jsonl`), '--key', inFolder('log.vkey')])
    }
  })

  it('verify a part of the log', async () => {
    await succeed(['export', '--from', '250', '--to', '290', '--out', inFolder('part.jsonl'), '--pin', pin])
    const report = await succeed(['verify', inFolder('part.jsonl'), '--key', inFolder('log.vkey'), '--json'])
    expect(JSON.parse(report)).toMatchObject({ entries: { from: 250, to: 290 }, checkpoint: { size: await size() } })
  })

  it('verify the log over the network, event by event or by its public hashes', async () => {
    const report = JSON.parse(await succeed(['verify', service.url, '--pin', pin, '--json']))
    expect(report).toMatchObject({
      verified: true,
      entries: { from: 0, to: await size() },
      newest: { size: await size() },
    })
    const hashes = JSON.parse(await succeed(['verify', service.url, '--pin', pin, '--public', '--json']))
    expect(hashes).toMatchObject({ verified: true, entries: { events: 0, hashesOnly: await size() } })
    expect(await audit(['verify', service.url, '--pin', 'M6EuDp7nvvVZjk3MaVfvXg'])).toMatchObject({ exitCode: 1 })
  })

  it('say of a file from before that the log continues it', async () => {
    const before = await size()
    await logEvents(service, await firstOrganization(service), 10)
    const args = ['verify', inFolder('auditor.jsonl'), '--key', inFolder('log.vkey'), '--log', service.url, '--json']
    expect(JSON.parse(await succeed(args))).toMatchObject({
      checkpoint: { size: before },
      newest: { size: before + 10 },
    })
  })

  it('say so when no witness has signed', async () => {
    const { vkey } = makeSigner(crypto, 'cosignature', 'east.example', 'east')
    const run = await audit(['verify', service.url, '--pin', pin, '--witness', vkey])
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('and did: none') })
  })

  it('are refused to a token of another role', async () => {
    const run = await audit(['events'], 'operator')
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('forbidden') })
  })

  it('name the entry that was changed in the database, and one that was taken out', async () => {
    const change = (statement: string) => service.database.sql.query(statement)
    await change(
      `begin; alter table audit_entry disable trigger user; update audit_entry set entry = replace(entry, '"notice"', '"info"') where index = 280; commit`,
    )
    const changed = await audit(['verify', service.url, '--pin', pin])
    expect(changed).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('The first bad entry is 280.') })
    const out = inFolder('changed.jsonl')
    expect(await audit(['export', '--pin', pin, '--out', out])).toMatchObject({ exitCode: 1 })
    const offline = await audit(['verify', out, '--key', inFolder('log.vkey')])
    expect(offline.stderr).toContain('The first bad entry is 280.')
    await change('delete from audit_entry where index = 270')
    const taken = await audit(['verify', service.url, '--pin', pin])
    expect(taken).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('The first bad entry is 270.') })
    // The hashes are what they were.
    await succeed(['verify', service.url, '--pin', pin, '--public'])
  })
})

it('an export over the library verifies with what the library gives', async () => {
  const service = await startTestService()
  try {
    await logEvents(service, await firstOrganization(service), 5)
    const auditor = openAuditor({ url: service.url, apiToken: service.adminToken, crypto })
    const { keys } = await auditor.fetchAuditKeys()
    const verifier = createExportVerifier(crypto, { log: keys })
    for await (const line of auditor.exportLines()) verifier.push(line)
    expect(verifier.finish().problem).toBeUndefined()
  } finally {
    await service.close()
  }
})
