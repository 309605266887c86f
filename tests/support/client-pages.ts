import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type BrowserContext, chromium } from 'playwright-core'
import { rolldown } from 'rolldown'
import { chromiumOptions } from './browser.ts'

/** A browser whose profile is in `folder`: opened again there, it remembers. */
export async function openBrowser(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, chromiumOptions)
}

export interface PageServer {
  origin: string
  close(): Promise<void>
}

/** Serves the files, by path, on a port of this machine, with a policy that lets a page run no code but its own. */
export async function servePages(files: Record<string, string>): Promise<PageServer> {
  const server = createServer((request, response) => {
    const text = files[request.url ?? '']
    if (text === undefined) return void response.writeHead(404).end()
    const type = request.url?.endsWith('.js') === true ? 'text/javascript' : 'text/html; charset=utf-8'
    response.writeHead(200, {
      'Content-Type': type,
      'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src http:",
    })
    response.end(text)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

/** A module of ours as a page can run it. */
export async function bundleForPage(input: string): Promise<string> {
  const ours = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
  const build = await rolldown({
    input: ours(input),
    platform: 'browser',
    resolve: { alias: { './native.ts': ours('protocol/primitives/no-native.ts') } },
    logLevel: 'silent',
  })
  const { output } = await build.generate({ format: 'es', codeSplitting: false })
  await build.close()
  return output[0].code
}
