import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { type Device, openOperator, type QflareOperator } from '../../client/operator.ts'
import { type DemoMonitor, startDemoMonitor } from './demo-monitor.ts'
import { type Proxy, startProxy } from './proxy.ts'
import { startTestService, type TestService } from './service.ts'

export const demoMain = join(import.meta.dirname, '..', '..', 'demo', 'main.ts')
/** In the table. The incidents are resolved after it. */
export const demoSteps = 36

export interface DemoRun {
  exitCode: number | null
  stdout: string
  stderr: string
}

export type DemoChild = ReturnType<typeof spawn>

/** For the tests of a file one service, before it a proxy, and `npm run demo` against it. */
export function useDemo() {
  let monitor: DemoMonitor
  const suite = {
    service: {} as TestService,
    proxy: {} as Proxy,
    operator: {} as QflareOperator,
    /** With the admin token. */
    folder: '',

    /** `onOutput` is given all that it said so far, each time that it says something. */
    start(
      command: string,
      args: string[],
      env: Record<string, string>,
      onOutput: (child: DemoChild, text: string) => void,
    ): Promise<DemoRun> {
      const { proxy, folder } = suite
      const base = { PATH: process.env['PATH'] ?? '', TERM: 'xterm', QFLARE_URL: proxy.url, QFLARE_DATA_DIR: folder }
      const child = spawn(command, args, { env: { ...base, ...env } })
      const run: DemoRun = { exitCode: null, stdout: '', stderr: '' }
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        run.stdout += text
        monitor.follow(run.stdout)
        onOutput(child, run.stdout)
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => (run.stderr += text))
      return new Promise((resolve, reject) => {
        child.on('error', reject).on('close', (exitCode) => resolve({ ...run, exitCode }))
      })
    },

    demo: (args: string[], env: Record<string, string> = {}) =>
      suite.start(process.execPath, [demoMain, '--devices', '5', ...args], env, () => undefined),

    /** Of all demos. */
    async fleet(): Promise<Device[]> {
      const devices: Device[] = []
      for await (const device of suite.operator.devices({ type: 'qflare-demo' })) devices.push(device)
      return devices
    },
  }

  beforeAll(async () => {
    const service = await startTestService({ isRealTime: true })
    const folder = mkdtempSync(join(tmpdir(), 'qflare-demo-'))
    const operator = openOperator({ url: service.url, apiToken: service.adminToken })
    Object.assign(suite, { service, folder, operator, proxy: await startProxy(service.url) })
    writeFileSync(join(folder, 'admin-token'), service.adminToken, { mode: 0o600 })
    monitor = startDemoMonitor(service)
  })
  afterEach(() => {
    suite.proxy.treat = () => 'forward'
  })
  afterAll(async () => {
    await monitor[Symbol.asyncDispose]()
    await suite.proxy[Symbol.asyncDispose]()
    await suite.service.close()
    rmSync(suite.folder, { recursive: true })
  })
  return suite
}
