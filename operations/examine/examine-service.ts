import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import type { Config } from '../../runtime/config.ts'
import { readVersion } from '../../runtime/release.ts'
import { errorText, type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('service')

const TIMEOUT_MS = 5_000
const versionAnswer = z.looseObject({ version: z.string().max(64) })
const readiness = z.looseObject({
  status: z.enum(['ready', 'not_ready']),
  checks: z.record(z.string().max(64), z.looseObject({ ok: z.boolean(), detail: z.string().max(2000).optional() })),
})

/** What a running service says of itself; `isInUse`: the database shows that there is one. */
export async function examineService(config: Config, url: string | undefined, isInUse: boolean): Promise<Finding[]> {
  const asked = url ?? urlOf(config)
  if (asked === undefined) {
    return [unseen('PORT=0 takes a free port, so that it cannot be asked', 'Name it: --at URL, as its log says.')]
  }
  let answer: { status: number; body: string }
  try {
    answer = await get(new URL('/ready', asked))
  } catch (error) {
    const reason = `${asked} does not answer (${errorText(error)})`
    if (!isInUse) return [unseen(reason, 'npm start starts the service.')]
    return [
      problem(`${reason}, though a service works on the database`, 'Has it another address? --at URL. Or see its log.'),
    ]
  }
  const parsed = readiness.safeParse(parseJson(answer.body))
  if (!parsed.success) {
    const advice =
      'Is this QFLARE? Another program may have the port, or /ready is served elsewhere (QFLARE_OPERATOR_PORT).'
    return [problem(`${asked} answers ${answer.status}, but does not say whether it is ready`, advice)]
  }
  const failed = Object.entries(parsed.data.checks).filter(([, check]) => !check.ok)
  const versions = await versionFindings(asked)
  if (failed.length === 0) return [ok(`${asked} is ready: ${Object.keys(parsed.data.checks).join(', ')}`), ...versions]
  const problems = failed.map(([part, { detail = 'not ready' }]) =>
    problem(`${part}: ${detail}`, 'docs/operations.md, "Is it well?"'),
  )
  return [...problems, ...versions]
}

/** Whether the process that answers is of the release that is asking. */
async function versionFindings(asked: string): Promise<Finding[]> {
  const advice = 'Another program may have the port, or it is stopping.'
  const body = await get(new URL('/version', asked)).then(
    (answer) => answer.body,
    () => '',
  )
  const running = versionAnswer.safeParse(parseJson(body)).data?.version
  const here = readVersion()
  if (running === undefined) return [unseen(`${asked} does not say its version`, advice)]
  if (running === here) return [ok(`it runs QFLARE ${running}, as this is`)]
  return [
    warning(`it runs QFLARE ${running}, and this is ${here}`, 'Restart what is older, or use the command of its own.'),
  ]
}

function urlOf({ http, operator }: Config): string | undefined {
  const { host, port } = operator ?? http
  if (port === 0) return undefined
  const scheme = operator === undefined && http.tls !== undefined ? 'https' : 'http'
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `${scheme}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

/** The certificate is not checked: it names the service, not this machine, and nothing secret is sent. */
async function get(url: URL): Promise<{ status: number; body: string }> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  const sending =
    url.protocol === 'https:' ? requestHttps(url, { signal, rejectUnauthorized: false }) : requestHttp(url, { signal })
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  sending.on('error', reject)
  sending.on('response', (response) => {
    text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
  })
  sending.end()
  return promise
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
