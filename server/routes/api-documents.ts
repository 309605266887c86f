import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { ServiceError } from '../errors.ts'
import { describeApi } from '../openapi.ts'
import { defineRoute, type Route } from '../route.ts'

const CACHE = 'public, max-age=300'
const documentHeaders = { 'content-type': 'application/json; charset=utf-8', 'cache-control': CACHE }

/** The OpenAPI document of `routes` and of these themselves, and a page to read and try it. */
export function apiDocumentRoutes(routes: readonly Route[], version: string): Route[] {
  const files = loadPage()
  const own: Route[] = [
    defineRoute({
      method: 'get',
      path: '/openapi.json',
      access: 'anyone',
      summary: 'This document',
      answers: { 200: { description: 'OpenAPI 3.1.', contentType: 'application/json' } },
      answer: async () => ({ status: 200, headers: documentHeaders, body: document }),
    }),
    defineRoute({
      method: 'get',
      path: '/docs',
      access: 'anyone',
      summary: 'A page to read and try the API',
      answers: { 200: { description: 'HTML.', contentType: 'text/html' } },
      answer: async () => ({ status: 200, ...fileOf(files, 'index.html') }),
    }),
    defineRoute({
      method: 'get',
      path: '/docs/:file',
      access: 'anyone',
      summary: 'The parts of that page',
      answers: { 200: { description: 'A script, a style sheet or a picture.', contentType: '*/*' } },
      answer: async ({ params }) => ({ status: 200, ...fileOf(files, params.file) }),
    }),
  ]
  // Written once, and the same bytes for everybody: who asks again and again and reads nothing would have a copy each time.
  const document = Buffer.from(JSON.stringify(describeApi([...routes, ...own], version)))
  return own
}

const contentTypes = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  png: 'image/png',
} as const

type Files = ReadonlyMap<string, Uint8Array>

/** The whole page in memory: these names and no others can be asked for. */
function loadPage(): Files {
  const resolve = createRequire(import.meta.url).resolve
  const ownFiles = ['index.html', 'show.js'].map(
    (name) => [name, new URL(`../api-page/${name}`, import.meta.url)] as const,
  )
  const packageFiles = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'].map(
    (name) => [name, resolve(`swagger-ui-dist/${name}`)] as const,
  )
  return new Map([...ownFiles, ...packageFiles].map(([name, path]) => [name, readFileSync(path)]))
}

function fileOf(files: Files, name = ''): { body: Uint8Array; headers: Record<string, string> } {
  const body = files.get(name)
  if (body === undefined) throw new ServiceError('not_found', 'The page has no such part.')
  const type = contentTypes[name.split('.').at(-1) as keyof typeof contentTypes]
  return { body, headers: { 'content-type': type, 'cache-control': CACHE } }
}
