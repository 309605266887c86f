import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { NOWHERE } from '../../../grafana/runbooks.ts'
import { configVariables } from '../../../runtime/config.ts'
import { listFiles, readText } from '../../architecture/repository.ts'

// What needs no Helm. rendered-chart.test.ts looks at what Helm makes of it.
const folder = 'deploy/helm/qflare'
const templates = listFiles()
  .filter((path) => path.startsWith(`${folder}/templates/`))
  .map(readText)
  .join('\n')

interface Schema {
  properties?: Record<string, Schema>
  propertyNames?: Schema
}
const schema = JSON.parse(readText(`${folder}/values.schema.json`)) as Schema

/** Dotted names, down to where the schema leaves it to a definition. */
function pathsOf({ properties = {} }: Schema, before = ''): string[] {
  return Object.entries(properties).flatMap(([name, inner]) => [
    `${before}${name}`,
    ...pathsOf(inner, `${before}${name}.`),
  ])
}

/** Dotted names of the keys that have a line of their own. */
function keysOf(yaml: string): string[] {
  const above: string[] = []
  return [...yaml.matchAll(/^( *)([A-Za-z]+):/gm)].map(([, indent = '', name = '']) => {
    above.splice(indent.length / 2)
    above.push(name)
    return above.join('.')
  })
}

const known = pathsOf(schema).filter((path) => path !== 'global')
const leaves = known.filter((path) => !known.some((other) => other.startsWith(`${path}.`)))
const given = keysOf(readText(`${folder}/values.yaml`))

test('the chart has the version of the release', () => {
  const { version } = JSON.parse(readText('package.json')) as { version: string }
  expect(readText(`${folder}/Chart.yaml`)).toMatch(new RegExp(`^version: ${version}\nappVersion: ${version}$`, 'm'))
})

test.each([
  ['rules', 'prometheus/rules/'],
  ['dashboards', 'grafana/dashboards/'],
])('the %s in the chart are those of %s, as `npm run chart` writes them', (name, from) => {
  const filesOf = (under: string) =>
    listFiles()
      .filter((path) => path.startsWith(under))
      .map((path) => [path.slice(under.length), readText(path)])
  const files = filesOf(from)
  expect(files.length).toBeGreaterThan(0)
  expect(filesOf(`${folder}/${name}/`)).toEqual(files)
})

test('the links of the dashboards lead nowhere until somebody says where, and the template finds that place', () => {
  expect(templates).toContain(`replace "${NOWHERE}" $.Values.monitoring.runbooks`)
  expect(readText(`${folder}/values.yaml`)).toContain(`runbooks: ${NOWHERE}\n`)
})

test('values.yaml and its schema name the same values', () => {
  expect(known.length).toBeGreaterThan(40)
  expect(known.filter((path) => !given.includes(path))).toEqual([])
  expect(given.filter((path) => !known.includes(path) && !leaves.some((leaf) => path.startsWith(`${leaf}.`)))).toEqual(
    [],
  )
})

test('the templates name values that exist, and each value is named', () => {
  const named = [...templates.matchAll(/\.Values\.([A-Za-z.]+[A-Za-z])/g)].map(([, path = '']) => path)
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((path) => !known.includes(path))).toEqual([])
  const unnamed = leaves.filter((path) => !new RegExp(`\\.${path.split('.').at(-1) ?? ''}\\b`).test(templates))
  expect(unnamed).toEqual([])
})

test('the templates set variables that exist, and `settings` takes all others that hold no secret', () => {
  const set = [...templates.matchAll(/name: ((?:QFLARE|DATABASE|REDIS)_[A-Z_]+)/g)].map(([, name = '']) => name)
  expect(set.length).toBeGreaterThan(10)
  expect(set.filter((name) => !configVariables.includes(name))).toEqual([])
  const takes = new Ajv({ strict: false }).compile(schema.properties?.settings ?? {})
  const secret = /^(QFLARE_ROOT_KEY|QFLARE_DATABASE_URL_.*|QFLARE_TEMPORAL_REDIS_URL)$/
  const taken = configVariables.filter((name) => takes({ [name]: '1' }))
  expect(taken.filter((name) => set.includes(name) || secret.test(name))).toEqual([])
  expect(taken).toContain('QFLARE_LOG_LEVEL')
  expect(taken).toContain('QFLARE_PROFILE')
  expect(takes({ QFLARE_ROOT_KEY: 'x' })).toBe(false)
})
