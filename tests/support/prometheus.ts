import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { listFiles, readText } from '../architecture/repository.ts'
import { findProgram } from './find-program.ts'
import { prometheusConfig, type Target } from './prometheus-config.ts'
import { findFreePort } from './redis.ts'

/** Whether this machine has Debian's `prometheus`. In CI it has to: a test that is skipped there proves nothing. */
export const hasPrometheus = process.env.CI === 'true' || findProgram('prometheus') !== undefined

export interface Series {
  labels: Record<string, string>
  /** The newest, where there are several. NaN and infinities are what they are. */
  value: number
}

export interface Rule {
  name: string
  health: string
  lastError?: string | undefined
  state?: 'inactive' | 'pending' | 'firing' | undefined
}

export interface TestPrometheus {
  url: string
  /** As of now. Throws with what Prometheus says of an expression that it does not understand. */
  query(expression: string): Promise<Series[]>
  /** Every series that an expression had within the last seconds. */
  queryRange(expression: string, seconds: number): Promise<Series[]>
  /** Every rule, as it was evaluated last; of a recording rule `state` is undefined. */
  rules(): Promise<Rule[]>
  /** Of alerts that fire, or will when it stays as it is; each once, in the order of the alphabet. */
  alerts(): Promise<string[]>
  /** The names of all labels of all series. */
  labels(): Promise<string[]>
  stop(): Promise<void>
}

const matrix = z.object({
  result: z.array(
    z.object({
      metric: z.record(z.string(), z.string()),
      value: z.tuple([z.number(), z.string()]).optional(),
      values: z.array(z.tuple([z.number(), z.string()])).optional(),
    }),
  ),
})

const ruleGroups = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          name: z.string(),
          health: z.string(),
          lastError: z.string().optional(),
          state: z.enum(['inactive', 'pending', 'firing']).optional(),
        }),
      ),
    }),
  ),
})

export interface TestPrometheusOptions {
  targets: readonly Target[]
  /** HOST:PORT. */
  alertmanager?: string
  /** What becomes of alerts.yml. */
  changeAlerts?: (rules: string) => string
}

/** A real Prometheus on loopback, with the files of prometheus/. Throws with what it said when it does not take them. */
export async function startTestPrometheus({
  targets,
  alertmanager,
  changeAlerts = (rules) => rules,
}: TestPrometheusOptions): Promise<TestPrometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-prometheus-'))
  const options = alertmanager === undefined ? {} : { alertmanager }
  await writeFile(join(folder, 'prometheus.yml'), prometheusConfig(targets, options))
  await mkdir(join(folder, 'rules'))
  for (const path of listFiles().filter((name) => name.startsWith('prometheus/rules/'))) {
    const rules = readText(path)
    const file = path.replace('prometheus/', '')
    await writeFile(join(folder, file), file === 'rules/alerts.yml' ? changeAlerts(rules) : rules)
  }
  const address = `127.0.0.1:${await findFreePort()}`
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      // What fires before it has found its Alertmanager is told to nobody, and again after a minute.
      '--rules.alert.resend-delay=1s',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await untilReady(child)
  const url = `http://${address}`

  async function get<T>(path: string, parameters: Record<string, string>, schema: z.ZodType<T>): Promise<T> {
    const answer = await fetch(`${url}${path}?${new URLSearchParams(parameters).toString()}`)
    const body = z
      .object({ status: z.string(), error: z.string().optional(), data: z.unknown() })
      .parse(await answer.json())
    if (body.status !== 'success') throw new Error(body.error ?? body.status)
    return schema.parse(body.data)
  }
  const toSeries = ({ result }: z.infer<typeof matrix>): Series[] =>
    result.map(({ metric, value, values }) => ({ labels: metric, value: Number((value ?? values?.at(-1))?.[1]) }))

  const rules = async () => (await get('/api/v1/rules', {}, ruleGroups)).groups.flatMap((group) => group.rules)

  return {
    url,
    query: async (query) => toSeries(await get('/api/v1/query', { query }, matrix)),
    async queryRange(query, seconds) {
      const end = Date.now() / 1_000
      return toSeries(
        await get('/api/v1/query_range', { query, start: `${end - seconds}`, end: `${end}`, step: '1' }, matrix),
      )
    },
    rules,
    async alerts() {
      const active = (await rules()).filter(({ state }) => state === 'pending' || state === 'firing')
      return [...new Set(active.map(({ name }) => name))].toSorted()
    },
    labels: () => get('/api/v1/labels', {}, z.array(z.string())),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await gone
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilReady(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let output = ''
    child.once('exit', (code) => reject(new Error(`prometheus ended with ${code}: ${output.slice(-500)}`)))
    child.once('error', reject)
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('Server is ready to receive web requests')) resolve()
    })
  })
  child.stderr?.removeAllListeners('data').resume()
  child.removeAllListeners('exit')
}
