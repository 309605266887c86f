import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runQflare } from '../support/command-suite.ts'
import {
  expectRefusedOperation,
  listEvents,
  makeBackupFolder,
  makeTestFolder,
  operate,
  operateJson,
  query,
  stop,
} from '../support/operations.ts'
import { spawnService } from '../support/service-process.ts'

/** The way of the root of trust out of a real service and back, by the commands that people type. */

test('a root of trust goes offline, signs there, and comes back, by the commands alone', {
  timeout: 120_000,
}, async () => {
  const folder = await makeTestFolder()
  const safe = await makeBackupFolder()
  const service = spawnService(folder)
  const url = await service.ready()
  const env = { QFLARE_URL: url }
  const rootFile = join(safe, 'root')
  const json = <T>(args: string[]) => operateJson<T>(folder, args, env)
  const runJob = async () => {
    await json(['jobs', 'run', 'rotate-signing-keys'])
  }

  expect(await json(['root', 'status'])).toMatchObject({ isRootOffline: false, draft: null })
  const { kid } = await json<{ kid: string }>(['root', 'take-offline', '--out', rootFile, '--yes'])
  expect((await stat(rootFile)).mode & 0o777).toBe(0o600)
  await expectRefusedOperation(
    folder,
    ['root', 'take-offline', '--out', join(safe, 'again'), '--yes'],
    'root_offline',
    /already/,
  )
  expect(await json(['root', 'status'])).toEqual({ rootKid: kid, isRootOffline: true, draft: null })
  const quiet = await operate(folder, ['root', 'draft', '--out', join(safe, 'none.json')], env)
  expect([quiet.exitCode, quiet.stderr]).toEqual([1, expect.stringContaining('Nothing waits')])

  await query(folder, `update signing_key set activated_at = now() - interval '1 year' where key_use = 'bucket'`)
  await runJob()
  await expect
    .poll(() => json(['root', 'status']), { timeout: 20_000 })
    .toMatchObject({ draft: { next: { sequence: 2 } } })
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toMatch(/^qflare_trust_bundle_draft_age_seconds \d/m)
  const doctor = await operate(folder, ['doctor'], env)
  expect(doctor.stdout.replace(/\s+/g, ' ')).toMatch(
    /trust bundle 2 waits for the root of trust, which is offline, and has to be/,
  )
  expect(doctor.exitCode, 'no problem yet').toBe(0)

  const draft = join(safe, 'draft.json')
  await json(['root', 'draft', '--out', draft])
  const sign = (args: Record<string, string>) =>
    runQflare(['root', 'sign', ...Object.entries(args).flatMap(([name, value]) => [`--${name}`, value])], {
      folder: safe,
    })
  const signed = join(safe, 'signed.json')
  const run = await sign({ key: rootFile, in: draft, out: signed })
  expect(run.exitCode, run.stderr).toBe(0)
  expect(run.stderr).toMatch(/KEY +CHANGE +USE[^\n]+\n\S+ +new +bucket +ML-DSA-44/)
  expect((await sign({ key: rootFile, in: draft, out: signed })).stderr).toMatch(/exists already/)

  const changed = JSON.parse(await readFile(draft, 'utf8'))
  const variants: [string, object, RegExp][] = [
    ['sequence', { next: { ...changed.next, sequence: 3 } }, /does not follow/],
    ['domain', { next: { ...changed.next, trustDomain: 'other.example' } }, /does not follow|is of/],
    [
      'roots',
      { next: { ...changed.next, keys: changed.next.keys.filter(({ use }: { use: string }) => use !== 'root') } },
      /other roots/,
    ],
    ['previous', { previous: { ...changed.previous, keys: changed.previous.keys.slice(0, -1) } }, /no valid signature/],
    ['format', { format: 'other' }, /no file of this kind/],
  ]
  for (const [name, change, message] of variants) {
    const path = join(safe, `${name}.json`)
    await writeFile(path, JSON.stringify({ ...changed, ...change }))
    const refused = await sign({ key: rootFile, in: path, out: join(safe, 'never.json') })
    expect(refused.exitCode, name).not.toBe(0)
    expect(refused.stderr, name).toMatch(message)
    await expect(stat(join(safe, 'never.json'))).rejects.toMatchObject({ code: 'ENOENT' })
  }

  expect(await json(['root', 'submit', signed])).toEqual({ trustSequence: 2 })
  expect(await json(['root', 'submit', signed]), 'twice').toEqual({ trustSequence: 2 })
  expect(await listEvents(folder, 'trust.bundle_signed')).toMatchObject([
    { subject: { kid }, data: { trustSequence: 2 } },
  ])

  const backup = join(safe, 'backup')
  const backedUp = await operate(folder, ['backup', '--out', backup, '--with-root-key'], env)
  expect(backedUp.exitCode, backedUp.stderr).toBe(0)
  await expectRefusedOperation(folder, ['trust', 'ahead', '--yes'], 'root_offline', /bring its file.*--root-file/)
  expect(await json(['trust', 'ahead', '--yes', '--root-file', rootFile])).toEqual({ trustSequence: 14 })

  expect(await json(['root', 'bring-online', '--key', rootFile, '--yes'])).toEqual({ kid, changed: true })
  expect(await json(['root', 'status'])).toEqual({ rootKid: kid, isRootOffline: false, draft: null })
  await stop(service)

  const restored = await makeTestFolder()
  const restore = await operate(restored, ['restore', '--from', backup, '--yes'])
  expect(restore.exitCode, restore.stderr).toBe(0)
  expect(restore.stderr).toMatch(
    /The root of trust is offline: devices .* qflare trust ahead --days 1 --root-file FILE/,
  )
  const ahead = await operateJson(restored, ['trust', 'ahead', '--days', '1', '--root-file', rootFile, '--yes'])
  expect(ahead).toEqual({ trustSequence: 14 })
})
