import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { expect, test } from 'vitest'
import { errorCodes } from '../../server/errors.ts'
import { errorCodesOf, toTemplate } from '../../server/openapi.ts'
import { getApiDocument, listDescribedRoutes } from '../support/api-document.ts'

const document = getApiDocument()
const routes = listDescribedRoutes()

test('every route is in the document, and nothing else', () => {
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  )
  const known = routes.map(({ method, path }) => `${method} ${toTemplate(path)}`)
  expect(described.toSorted()).toEqual(known.toSorted())
})

test('every operation has a name of its own', () => {
  const names = Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).map((operation) => (operation as { operationId: string }).operationId),
  )
  expect(new Set(names).size).toBe(names.length)
})

test('every reference leads somewhere, and every schema is one that a validator takes', () => {
  const text = JSON.stringify(document)
  for (const [, pointer = ''] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = pointer.split('/').reduce<unknown>((at, name) => (at as Record<string, unknown>)?.[name], document)
    expect(found, pointer).toBeDefined()
  }
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false })
  addFormats.default(ajv)
  ajv.addVocabulary(['components', 'openapi', 'info', 'servers', 'tags', 'paths'])
  ajv.addSchema(document, 'api')
  const { schemas } = document.components as { schemas: object }
  for (const name of Object.keys(schemas)) expect(ajv.getSchema(`api#/components/schemas/${name}`)).toBeDefined()
})

test('every code that an operation may answer stands in docs/errors.md, and no schema lets another through', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const inDocument = new Set(routes.flatMap(errorCodesOf))
  expect(errorCodes.filter((code) => !page.includes(`## ${code}\n`))).toEqual([])
  expect([...inDocument].filter((code) => !errorCodes.includes(code))).toEqual([])
})

test('an answer that has to say more than its body says so: how to prove who asks, when to come again, what is left', () => {
  const { headers } = document.components as { headers: object }
  const headersOf = (path: string, method: string, status: number): string[] => {
    const operation = document.paths[path]?.[method] as { responses: Record<string, { headers: object }> }
    return Object.keys(operation.responses[status]?.headers ?? {})
  }
  const limit = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset']
  expect(headersOf('/v1/exchanges', 'post', 201)).toEqual(['X-Request-Id', 'Location', 'QFLARE-Pass', ...limit])
  expect(headersOf('/v1/exchanges', 'post', 401)).toEqual(['X-Request-Id', 'WWW-Authenticate', ...limit])
  expect(headersOf('/v1/exchanges', 'post', 429)).toEqual(['X-Request-Id', 'Retry-After', ...limit])
  expect(headersOf('/ready', 'get', 503)).toEqual(['X-Request-Id', 'Retry-After'])
  expect(headersOf('/live', 'get', 200)).toEqual(['X-Request-Id'])
  expect(Object.keys(headers)).toEqual(expect.arrayContaining(['Allow', ...limit]))
})

test('the schemas of bodies refuse members that the service refuses', () => {
  const { schemas } = document.components as { schemas: Record<string, { additionalProperties?: unknown }> }
  for (const name of ['ExchangeRequest', 'ConfirmRequest', 'EnrollmentCompletion', 'TokenRequest']) {
    expect(schemas[name]?.additionalProperties, name).toBe(false)
  }
})
