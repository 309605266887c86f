import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Client } from 'pg'
import type { BenchService } from '../exchange/start-service.ts'

const program = fileURLToPath(new URL('../../operations/qflare.ts', import.meta.url))

/** Milliseconds of each of `count` requests for the proof of some event, one after the other. */
export async function measureProofs(service: BenchService, client: Client, count: number): Promise<number[]> {
  const { rows } = await client.query<{ event_id: string }>(
    'select event_id from audit_event_id order by random() limit $1',
    [count],
  )
  const times: number[] = []
  for (const { event_id: id } of rows) {
    const startedAt = performance.now()
    const answer = await fetch(`${service.url}/v1/audit/events/${id}/proof`, {
      headers: { authorization: `Bearer ${service.adminToken}` },
    })
    if (!(await answer.text()).startsWith('c2sp.org/tlog-proof@v1')) throw new Error(`No proof: ${answer.status}`)
    times.push(performance.now() - startedAt)
  }
  // Connections, prepared statements and compiled code.
  return times.slice(Math.floor(times.length / 10))
}

/** Entries a second of the export, and of `qflare audit verify FILE` with its start. */
export async function measureVerification(
  service: BenchService,
  to: number,
): Promise<{ exportedPerSecond: number; verifiedPerSecond: number }> {
  const file = join(tmpdir(), `qflare-bench-export-${process.pid}`)
  try {
    const startedAt = performance.now()
    const answer = await fetch(`${service.url}/v1/audit/export?to=${to}`, {
      headers: { authorization: `Bearer ${service.adminToken}` },
    })
    if (answer.body === null || !answer.ok) throw new Error(`No export: ${answer.status}`)
    await pipeline(Readable.fromWeb(answer.body), createWriteStream(file))
    const exportedPerSecond = to / ((performance.now() - startedAt) / 1000)
    const run = promisify(execFile)
    const key = await run(process.execPath, [program, 'audit', 'key', '--url', service.url])
    await writeFile(`${file}.key`, key.stdout)
    const verifyingAt = performance.now()
    await run(process.execPath, [program, 'audit', 'verify', file, '--key', `${file}.key`])
    return { exportedPerSecond, verifiedPerSecond: to / ((performance.now() - verifyingAt) / 1000) }
  } finally {
    await rm(file, { force: true })
    await rm(`${file}.key`, { force: true })
  }
}
