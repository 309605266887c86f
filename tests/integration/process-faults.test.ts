import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { enrollClient, makeServiceFolder, removeServiceFolder, spawnService } from '../support/service-process.ts'

let folder: string

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('a log that cannot be written costs the log, not the service', async () => {
  const port = await findFreePort()
  const full = await open('/dev/full', 'w')
  const child = spawn(process.execPath, ['main.ts'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { PATH: process.env.PATH ?? '', PORT: String(port), QFLARE_DATA_DIR: folder },
    stdio: ['ignore', full.fd, 'ignore'],
  })
  const ended = once(child, 'exit')
  try {
    const url = `http://127.0.0.1:${port}`
    const isLive = () =>
      fetch(`${url}/live`).then(
        ({ ok }) => ok,
        () => false,
      ) // refused until it listens
    while (child.exitCode === null && !(await isLive())) await sleep(50)
    const device = await enrollClient(url, folder)
    expect((await device.exchange()).session).toBeDefined()
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
    await ended
    await full.close()
  }
})

test('a service that was begun under a trust domain is not started under another', async () => {
  const first = spawnService(folder, { QFLARE_TRUST_DOMAIN: 'qflare.local' })
  await first.ready()
  first.kill('SIGTERM')
  expect(await first.ended()).toBe(0)
  const second = spawnService(folder, { QFLARE_TRUST_DOMAIN: 'fleet.example' })
  expect(await second.ended()).toBe(1)
  expect(second.output.stderr).toContain(
    'QFLARE_TRUST_DOMAIN: is fleet.example, but this service was begun as qflare.local',
  )
})
