import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { findProgram } from './find-program.ts'
import { alertmanagerConfig } from './prometheus-config.ts'
import { findFreePort } from './redis.ts'

/** Whether this machine has Debian's `prometheus-alertmanager`. In CI it has to: a test that is skipped there proves nothing. */
export const hasAlertmanager = process.env.CI === 'true' || findProgram('prometheus-alertmanager') !== undefined

/** What a webhook is told, as far as tests look at it. */
const notice = z.object({
  status: z.enum(['firing', 'resolved']),
  receiver: z.string(),
  groupLabels: z.record(z.string(), z.string()),
  alerts: z.array(
    z.object({
      status: z.enum(['firing', 'resolved']),
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
    }),
  ),
})
export type Notice = z.infer<typeof notice>

export interface TestAlertmanager {
  /** HOST:PORT. */
  address: string
  /** What its receivers were told so far, the newest last. */
  notices: readonly Notice[]
  stop(): Promise<void>
}

const READY_WITHIN_MS = 20_000

/** A real Alertmanager on loopback, with prometheus/alertmanager.yml, and receivers that keep what they are told. */
export async function startTestAlertmanager(): Promise<TestAlertmanager> {
  const notices: Notice[] = []
  const receivers = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      notices.push(notice.parse(JSON.parse(Buffer.concat(chunks).toString())))
      response.end()
    })
  })
  receivers.listen(0, '127.0.0.1')
  await once(receivers, 'listening')
  const url = `http://127.0.0.1:${(receivers.address() as AddressInfo).port}`
  const folder = await mkdtemp(join(tmpdir(), 'qflare-alertmanager-'))
  await writeFile(
    join(folder, 'alertmanager.yml'),
    alertmanagerConfig({ onCall: `${url}/on-call`, tickets: `${url}/tickets` }),
  )
  const address = `127.0.0.1:${await findFreePort()}`
  const child = spawn(
    'prometheus-alertmanager',
    [
      `--config.file=${join(folder, 'alertmanager.yml')}`,
      `--storage.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      // It is alone.
      '--cluster.listen-address=',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = once(child, 'close')
  const deadline = performance.now() + READY_WITHIN_MS
  while (!(await isReady(address))) {
    const isGone = child.exitCode !== null || child.signalCode !== null
    if (isGone || performance.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`Alertmanager is not ready: ${said.slice(-500)}`)
    }
    await sleep(50)
  }
  return {
    address,
    notices,
    async stop() {
      child.kill('SIGTERM')
      await ended
      receivers.closeAllConnections()
      await new Promise((resolve) => receivers.close(resolve))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function isReady(address: string): Promise<boolean> {
  const answer = await fetch(`http://${address}/-/ready`).catch(() => undefined)
  return answer?.ok === true
}
