import { expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../../runtime/config.ts'
import { openTracer } from '../../../runtime/tracing/open-tracer.ts'
import { noTracer } from '../../../runtime/tracing/tracer.ts'

const collector = 'http://127.0.0.1:4318/v1/traces'

test('nothing is traced without a collector, and a tenth of all with one', async () => {
  const { tracing } = loadConfig({})
  expect(tracing).toBeUndefined()
  const logger = { info() {}, warn() {} }
  expect(await openTracer({ setting: tracing, version: '1', roles: ['api'], logger })).toBe(noTracer)
  expect(loadConfig({ QFLARE_TRACES_URL: collector }).tracing).toEqual({ url: collector, ratio: 0.1 })
})

test.each([
  ['0', 0],
  ['1', 1],
  ['0.25', 0.25],
  ['.001', 0.001],
  ['1.0', 1],
])('a share of %s is %f', (text, ratio) => {
  expect(loadConfig({ QFLARE_TRACES_URL: collector, QFLARE_TRACES_RATIO: text }).tracing?.ratio).toBe(ratio)
})

test.each([
  ['QFLARE_TRACES_URL', 'http://traces.example/v1/traces'],
  ['QFLARE_TRACES_URL', 'https://me:secret@traces.example'],
  ['QFLARE_TRACES_URL', 'traces.example:4318'],
  ['QFLARE_TRACES_URL', 'grpc://127.0.0.1:4317'],
  ['QFLARE_TRACES_RATIO', '1.5'],
  ['QFLARE_TRACES_RATIO', '-0.1'],
  ['QFLARE_TRACES_RATIO', '10%'],
  ['QFLARE_TRACES_RATIO', '1e-3'],
])('%s=%s is refused by its name', (name, value) => {
  expect(() => loadConfig({ QFLARE_TRACES_URL: collector, [name]: value })).toThrow(ConfigError)
  expect(() => loadConfig({ QFLARE_TRACES_URL: collector, [name]: value })).toThrow(new RegExp(`^  ${name}[.:]`, 'm'))
})

test('what is traced goes on as if it were not', async () => {
  expect(await noTracer.begin('a', 'server', async ({ traceId }) => traceId ?? 'none')).toBe('none')
  await expect(
    noTracer.step(
      'client',
      () => ['b', {}],
      () => Promise.reject(new Error('c')),
    ),
  ).rejects.toThrow('c')
})
