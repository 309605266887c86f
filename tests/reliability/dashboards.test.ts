import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { openIncidents } from '../../client/incidents.ts'
import { listFiles } from '../architecture/repository.ts'
import { colourOf, fillIn, firstRowOf, panelsOf, readDashboard } from '../support/dashboard-queries.ts'
import { makeTestFolder, stop } from '../support/operations.ts'
import { startOwnStores } from '../support/own-stores.ts'
import { hasPrometheus, startTestPrometheus, type TestPrometheus } from '../support/prometheus.ts'
import { findFreePort, hasRedis } from '../support/redis.ts'
import { readAdminToken, type ServiceProcess, spawnService } from '../support/service-process.ts'

vi.setConfig({ testTimeout: 420_000, hookTimeout: 60_000 })

const WITHIN = { timeout: 60_000, interval: 500 }
const MAX_SERIES = 8
const dashboards = listFiles()
  .filter((path) => /^grafana\/dashboards\/.*\.json$/.test(path))
  .map(readDashboard)
const demo = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))

interface Member {
  folder: string
  role: string
  target: string
  process: ServiceProcess
}

async function runDemo(url: string, folder: string): Promise<void> {
  const env = { PATH: process.env['PATH'] ?? '', QFLARE_URL: url, QFLARE_DATA_DIR: folder }
  const child = spawn(process.execPath, [demo, '--devices', '8'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()))
  const [code] = await once(child, 'close')
  expect(code, output).toBe(0)
}

describe.skipIf(!hasPrometheus || !hasRedis)('a real Prometheus beside a real fleet of processes', () => {
  const stack = new AsyncDisposableStack()
  afterAll(() => stack.disposeAsync())

  test('has data for every panel of every dashboard after a demo, and says nothing good of a service that is gone', async () => {
    const { env: shared } = await startOwnStores(stack)
    const fleet = await Promise.all(
      ['worker', 'sequencer', 'api', 'api'].map(async (role) => {
        const [folder, port] = [await makeTestFolder(), await findFreePort()]
        const env = { ...shared, QFLARE_ROLES: role, QFLARE_OPERATOR_PORT: String(port) }
        return { folder, role, target: `127.0.0.1:${port}`, process: spawnService(folder, env) }
      }),
    )
    const [worker, sequencer, api, other] = fleet as [Member, Member, Member, Member]
    const [url] = await Promise.all([api.process.ready(), other.process.ready()])
    for (const each of [worker, sequencer]) await each.process.said(/ready at no address/)
    const prometheus = await startTestPrometheus({ targets: fleet })
    stack.defer(() => prometheus.stop())
    const incidents = openIncidents({ url, apiToken: await readAdminToken(worker.folder) })
    // Rates need a number of before. What a demo makes of a spent token it waits up to seventy seconds for: once.
    await runDemo(url, worker.folder)
    await incidents.setMonitorSettings({ rules: { 'enrollment-token-reused': { enabled: false } } })
    await runDemo(url, worker.folder)
    const caused = (await incidents.listIncidents()).items.map(({ rule, status }) => `${rule} ${status}`)
    expect(caused.toSorted()).toEqual([
      'attestation-failed RESOLVED',
      'attestation-failed RESOLVED',
      'enrollment-token-reused RESOLVED',
    ])
    const known = await findChoice(prometheus)
    expect(known.instances.toSorted()).toEqual(fleet.map(({ target }) => target).toSorted())
    await vi.waitFor(async () => expect(await findEmpty(prometheus, known)).toEqual([]), WITHIN)
    expect(await findCrowded(prometheus, known)).toEqual([])
    expect(await findClasses(prometheus, known)).toEqual(expect.arrayContaining(['2xx', '4xx']))
    const rules = await prometheus.rules()
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
    const recorded = rules.filter(({ state }) => state === undefined)
    for (const { name } of recorded) {
      await vi.waitFor(async () => expect(await prometheus.query(name), name).not.toEqual([]), WITHIN)
    }
    await vi.waitFor(async () => expect(await prometheus.alerts()).toEqual([]), WITHIN)
    const labels = await prometheus.labels()
    expect(labels).toEqual(expect.arrayContaining(['role', 'db_role']))
    expect(labels.filter((label) => label.startsWith('exported_'))).toEqual([])
    await stop(sequencer.process)
    await vi.waitFor(async () => expect(await prometheus.alerts()).toContain('QflareRoleAbsent'), WITHIN)
    for (const { process } of [other, api, worker]) await stop(process)
    await vi.waitFor(async () => expect(await findWell(prometheus, known)).toEqual([]), WITHIN)
  })

  type Known = Parameters<typeof fillIn>[1]

  /** What stands above the dashboards when All is chosen. */
  async function findChoice(prometheus: TestPrometheus): Promise<Known> {
    const definitions = dashboards.flatMap(({ templating }) =>
      templating.list.map(({ definition }) => definition ?? ''),
    )
    const metrics = new Set(definitions.flatMap((text) => /^label_values\((\w+)/.exec(text)?.[1] ?? []))
    const series = await Promise.all([...metrics].map((metric) => prometheus.query(metric)))
    const valuesOf = (label: string) => [...new Set(series.flat().map(({ labels }) => labels[label] ?? ''))]
    return { jobs: valuesOf('job'), instances: valuesOf('instance'), window: '3m' }
  }

  async function findEmpty(prometheus: TestPrometheus, known: Known): Promise<string[]> {
    const empty: string[] = []
    for (const dashboard of dashboards) {
      const marks = dashboard.annotations.list.map(({ name, expr }) => ({
        title: name,
        targets: [{ refId: '', expr }],
      }))
      for (const panel of [...panelsOf(dashboard), ...marks]) {
        for (const { refId, expr } of panel.targets) {
          const place = `${dashboard.uid}, ${panel.title}, ${refId}`
          const found = await prometheus.query(fillIn(expr, known)).catch((error: unknown) => String(error))
          if (typeof found === 'string') empty.push(`${place}: ${found}`)
          else if (!found.some(({ value }) => Number.isFinite(value))) empty.push(`${place}: ${expr}`)
        }
      }
    }
    return empty
  }

  /** What the overview calls the statuses of answers. */
  async function findClasses(prometheus: TestPrometheus, known: Known): Promise<(string | undefined)[]> {
    const overview = dashboards.filter(({ uid }) => uid === 'qflare-overview').flatMap(panelsOf)
    const expr = overview.find(({ title }) => title === 'Requests by status')?.targets[0]?.expr ?? ''
    return (await prometheus.query(fillIn(expr, known))).map(({ labels }) => labels['class'])
  }

  async function findCrowded(prometheus: TestPrometheus, known: Known): Promise<string[]> {
    const crowded: string[] = []
    for (const dashboard of dashboards) {
      for (const panel of panelsOf(dashboard)) {
        const series = await Promise.all(
          panel.targets.map(({ expr }) => prometheus.queryRange(fillIn(expr, known), 60)),
        )
        if (series.flat().length > MAX_SERIES) crowded.push(`${dashboard.uid}, ${panel.title}: ${series.flat().length}`)
      }
    }
    return crowded
  }

  async function findWell(prometheus: TestPrometheus, known: Known): Promise<string[]> {
    const well: string[] = []
    for (const dashboard of dashboards) {
      for (const panel of firstRowOf(dashboard)) {
        const [found] = await prometheus.query(fillIn(panel.targets[0]?.expr ?? '', known))
        if (found !== undefined && colourOf(panel, found.value) === 'green')
          well.push(`${dashboard.uid}, ${panel.title}`)
      }
    }
    return well
  }
})
