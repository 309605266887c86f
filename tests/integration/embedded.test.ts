import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startEmbeddedPostgres } from '../../database/embedded.ts'
import { makeDataFolder, query, removeDataFolder, spawnOwner, start, startOwner } from '../support/embedded.ts'

const inUse = (folder: string) => ({
  code: 'in_use',
  message: `Another QFLARE process uses the data folder ${folder}; stop it first or set QFLARE_DATA_DIR.`,
})

describe('starting', () => {
  test('an empty folder becomes a durable database that only its password opens', async () => {
    const folder = join(await makeDataFolder(), 'made', 'here')
    onTestFinished(() => removeDataFolder(folder))
    const postgres = await start(folder, { settings: { max_connections: '33' } })

    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    const settings = "select setting from pg_settings where name in ('fsync', 'synchronous_commit', 'data_checksums')"
    expect(await query(postgres, settings)).toEqual(['on', 'on', 'on'])
    expect(await query(postgres, 'show listen_addresses')).toEqual([''])
    expect(await query(postgres, 'show max_connections')).toEqual(['33'])
    expect(await query(postgres, 'show timezone')).toEqual(['UTC'])
    expect(await query(postgres, "select datcollate || ' ' || pg_encoding_to_char(encoding) from pg_database")).toEqual(
      ['C UTF8', 'C UTF8', 'C UTF8'],
    )
    await expect(query({ ...postgres, superuserPassword: 'wrong' })).rejects.toMatchObject({ code: '28P01' })
  })

  test('nobody else may read the password, the socket or the log', async () => {
    const postgres = await start(await makeDataFolder())
    const modes = ['', 'password', 'postgres.log', 'data', '.s.PGSQL.5432'].map(async (name) => {
      return ((await stat(join(postgres.host, name))).mode & 0o777).toString(8)
    })
    expect(await Promise.all(modes)).toEqual(['700', '600', '600', '700', '700'])
    expect(await readFile(join(postgres.host, 'password'), 'utf8')).toBe(`${postgres.superuserPassword}\n`)
    expect(Buffer.from(postgres.superuserPassword, 'base64url')).toHaveLength(32)
  })

  test('the second start finds the data of the first, with the same password', async () => {
    const folder = await makeDataFolder()
    const first = await start(folder)
    await query(first, 'create table kept as select 42 as answer')
    await first.stop()
    await expect(stat(join(first.host, 'data/postmaster.pid'))).rejects.toMatchObject({ code: 'ENOENT' })

    const second = await start(folder)
    expect(second.superuserPassword).toBe(first.superuserPassword)
    expect(await query(second, 'select answer from kept')).toEqual([42])
  })

  test('Ctrl-C does not reach the server: it has a process group of its own', async () => {
    const postgres = await start(await makeDataFolder())
    const [, , , , group] = (await readFile(`/proc/${postgres.processId}/stat`, 'utf8')).split(' ')
    expect(Number(group)).toBe(postgres.processId)
  })

  test('a long path moves only the socket, and leaves nothing behind', async () => {
    const folder = join(await makeDataFolder(), 'd'.repeat(100))
    await mkdir(folder, { mode: 0o755 })
    const postgres = await start(folder)
    expect(Buffer.byteLength(join(postgres.host, '.s.PGSQL.5432'))).toBeLessThan(104)
    expect((await stat(postgres.host)).mode & 0o777).toBe(0o700)
    expect(await query(postgres, 'select 1')).toEqual([1])
    await postgres.stop()
    await expect(stat(postgres.host)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('what an interrupted initdb has left is removed and not used', async () => {
    const folder = await makeDataFolder()
    await mkdir(join(folder, 'postgres.new-abcdef', 'data'), { recursive: true })
    await writeFile(join(folder, 'postgres.new-abcdef', 'data', 'PG_VERSION'), '18\n')
    await start(folder)
    expect((await readdir(folder)).toSorted()).toEqual(['postgres', 'postgres.lock'])
  })

  test('a failed start names the cause and can be repeated', async () => {
    const folder = await makeDataFolder()
    await expect(start(folder, { settings: { shared_buffers: 'a lot' } })).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('invalid value for parameter "shared_buffers"') as unknown,
    })
    await start(folder)
  })

  test('a superuser that is refused stops the start, and no server stays behind', async () => {
    const folder = await makeDataFolder()
    const postgres = await start(folder)
    await query(postgres, "alter role postgres password 'another'")
    await postgres.stop()
    await expect(start(folder)).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('28P01') as unknown,
    })
    await expect(stat(join(postgres.host, 'data/postmaster.pid'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('data of another PostgreSQL version is refused, with both versions', async () => {
    const folder = await makeDataFolder()
    const postgres = await start(folder)
    await postgres.stop()
    await writeFile(join(postgres.host, 'data/PG_VERSION'), '15\n')
    await expect(start(folder)).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringMatching(/written by PostgreSQL 15, .* brings PostgreSQL 18/) as unknown,
    })
  })

  test('a folder without PostgreSQL data at its place is never overwritten', async () => {
    const folder = await makeDataFolder()
    await mkdir(join(folder, 'postgres'))
    await writeFile(join(folder, 'postgres', 'note'), 'mine')
    await expect(start(folder)).rejects.toMatchObject({ code: 'data_unreachable' })
    expect(await readdir(join(folder, 'postgres'))).toEqual(['note'])
  })
})

describe('one owner', () => {
  test('a second process is refused and the first goes on', async () => {
    const folder = await makeDataFolder()
    const first = await start(folder)
    const second = await startOwner(folder)
    expect(second.answer).toEqual(inUse(folder))
    expect(await query(first, 'select 1')).toEqual([1])
  })

  test('a second start in the same process is refused, and does not loosen the first', async () => {
    const folder = await makeDataFolder()
    await start(folder)
    await expect(start(folder)).rejects.toMatchObject(inUse(folder))
    expect((await startOwner(folder)).answer).toEqual(inUse(folder))
  })

  test('of two at once on an empty folder exactly one wins', async () => {
    const folder = await makeDataFolder()
    const owners = await Promise.all([startOwner(folder), startOwner(folder)])
    const answers = owners.map((owner) => owner.answer)
    expect(answers.filter((answer) => answer.host !== undefined)).toHaveLength(1)
    expect(answers.filter((answer) => answer.code !== undefined)).toEqual([inUse(folder)])
    expect((await readdir(folder)).toSorted()).toEqual(['postgres', 'postgres.lock'])
  })

  test('a second data folder that names the same cluster is refused, and its server stays', async () => {
    const folder = await makeDataFolder()
    const first = await start(folder)
    const copied = await makeDataFolder()
    await writeFile(join(copied, 'postgres-location'), join(folder, 'postgres'))
    await expect(start(copied)).rejects.toMatchObject(inUse(copied))
    expect(await query(first, 'select 1')).toEqual([1])
  })

  test('stop may be called twice, at once and again, and frees the folder', async () => {
    const folder = await makeDataFolder()
    const onLost = vi.fn<() => void>()
    const postgres = await start(folder, { onLost })
    await Promise.all([postgres.stop(), postgres.stop()])
    await postgres.stop()
    await (await start(folder)).stop()
    expect(onLost).not.toHaveBeenCalled()
  })
})

describe('after a crash', () => {
  test('the server of a killed owner is taken over with its data', async () => {
    const folder = await makeDataFolder()
    const owner = await startOwner(folder)
    await owner.kill()
    const postgres = await start(folder)
    expect(postgres.processId).toBe(owner.answer.processId)
    await query(postgres, 'create table kept as select 42 as answer')
    await postgres.stop()
    expect(await query(await start(folder), 'select answer from kept')).toEqual([42])
  })

  test('the server of a killed owner is replaced when the settings have changed', async () => {
    const folder = await makeDataFolder()
    const owner = await startOwner(folder)
    await owner.kill()
    const postgres = await start(folder, { settings: { max_connections: '33' } })
    expect(postgres.processId).not.toBe(owner.answer.processId)
    expect(await query(postgres, 'show max_connections')).toEqual(['33'])
  })

  test('a server that does not answer any more is replaced', async () => {
    const folder = await makeDataFolder()
    const owner = await startOwner(folder)
    process.kill(owner.answer.processId, 'SIGSTOP')
    await owner.kill()
    const postgres = await start(folder)
    expect(postgres.processId).not.toBe(owner.answer.processId)
    expect(await query(postgres, 'select 1')).toEqual([1])
  })

  test('an owner killed while it creates the database leaves nothing half made', async () => {
    const folder = await makeDataFolder()
    const owner = spawnOwner(folder)
    while (!(await readdir(folder)).some((name) => name.startsWith('postgres.new-'))) await sleep(5)
    await owner.kill()
    expect(await query(await start(folder), 'select 1')).toEqual([1])
    expect((await readdir(folder)).toSorted()).toEqual(['postgres', 'postgres.lock'])
  })

  test('a killed server is noticed once, and recovers what was committed although a query still runs', async () => {
    const folder = await makeDataFolder()
    const onLost = vi.fn<() => void>()
    const first = await start(folder, { onLost })
    await query(first, 'create table kept as select 42 as answer')
    // computes for some seconds without a look at its postmaster
    const busy = query(first, "select set_config('jit', 'off', false), count(*) from generate_series(1, 3e7)").catch(
      () => 'ended',
    )
    await sleep(300)
    process.kill(first.processId, 'SIGKILL')
    await vi.waitFor(() => expect(onLost).toHaveBeenCalledOnce())
    await first.stop()
    const second = await start(folder)
    expect(await query(second, 'select answer from kept')).toEqual([42])
    await busy
    expect(onLost).toHaveBeenCalledOnce()
  })

  test('lock files with the process id of a stranger are no obstacle, and the stranger lives', async () => {
    const folder = await makeDataFolder()
    const first = await start(folder)
    const pidFile = join(first.host, 'data/postmaster.pid')
    const socketLock = join(first.host, '.s.PGSQL.5432.lock')
    const left = await Promise.all([readFile(pidFile, 'utf8'), readFile(socketLock, 'utf8')])
    await first.stop()
    const stranger = String((await startOwner(await makeDataFolder())).answer.processId)
    await writeFile(pidFile, left[0].replace(/^\d+/, stranger))
    await appendFile(socketLock, left[1].replace(/^\d+/, stranger))

    const second = await start(folder)
    expect(await query(second, 'select 1')).toEqual([1])
    expect(process.kill(Number(stranger), 0)).toBe(true)
  })

  test('a process id that nobody has is no obstacle', async () => {
    const folder = await makeDataFolder()
    const first = await start(folder)
    const left = await readFile(join(first.host, 'data/postmaster.pid'), 'utf8')
    await first.stop()
    await writeFile(join(first.host, 'data/postmaster.pid'), left.replace(/^\d+/, '4194303'))
    await startEmbeddedPostgres({ dataDirectory: folder, log: () => undefined }).then((postgres) => postgres.stop())
  })
})
