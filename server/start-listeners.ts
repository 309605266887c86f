import type { RequestListener } from 'node:http'
import type { Clock } from '../runtime/clock.ts'
import { type Config, ConfigError, type TlsFiles } from '../runtime/config.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { createAddressMatch } from './client-address.ts'
import { fingerprint, followTlsFiles } from './follow-tls-files.ts'
import { createHttpApp, type HttpParts } from './http.ts'
import { type Listener, type ListenerAddress, startListener } from './listener.ts'
import { loadTlsCredential, type TlsCredential, TlsFileError } from './tls-credential.ts'

interface ListenerParts {
  config: Pick<Config, 'http' | 'operator'>
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export interface Listeners {
  api: Listener
  operator: Listener | undefined
  /** Drains the API's, then the other, which tells of the drain until then. */
  close(): Promise<void>
}

/**
 * The port of the API, and that of health and metrics where it is set: then the API's has nothing of them.
 * Throws ListenError, and ConfigError for TLS files that cannot be used.
 */
export async function startListeners(
  parts: ListenerParts,
  http: Omit<HttpParts, 'isOperatorPort'>,
): Promise<Listeners> {
  await using stack = new AsyncDisposableStack()
  const { http: api, operator } = parts.config
  let operatorListener: Listener | undefined
  let { routes } = http
  if (operator !== undefined) {
    routes = http.routes.filter(({ access }) => access !== 'machine')
    const machineRoutes = http.routes.filter(({ access }) => access === 'machine')
    operatorListener = await startOperatorPort(parts, operator, { ...http, routes: machineRoutes })
    stack.defer(operatorListener.close)
  }
  const app = createHttpApp({ ...http, routes, isOperatorPort: false })
  const address = { host: api.host, port: api.port, variables: { host: 'HOST', port: 'PORT' } }
  const apiListener = await startApi(parts, app, address, stack)
  const running = stack.move()
  return { api: apiListener, operator: operatorListener, close: () => running.disposeAsync() }
}

/** Throws ListenError. */
export function startOperatorPort(
  parts: Pick<ListenerParts, 'config'>,
  address: NonNullable<Config['operator']>,
  http: Omit<HttpParts, 'isOperatorPort' | 'trustProxy'>,
): Promise<Listener> {
  const app = createHttpApp({ ...http, isOperatorPort: true, trustProxy: undefined })
  const variables = { host: 'QFLARE_OPERATOR_HOST', port: 'QFLARE_OPERATOR_PORT' }
  return startListener(app, { ...address, variables }, undefined, connectionLimits(parts, []))
}

async function startApi(
  parts: ListenerParts,
  app: RequestListener,
  address: ListenerAddress,
  stack: AsyncDisposableStack,
): Promise<Listener> {
  const { config, clock, logger, metrics } = parts
  const { tls: files, trustProxy = [] } = config.http
  const connections = connectionLimits(parts, trustProxy)
  if (files === undefined) {
    const listener = await startListener(app, address, undefined, connections)
    stack.defer(listener.close)
    return listener
  }
  const inUse = await fingerprint(files)
  const credential = await requireTlsCredential(files, clock.now())
  const listener = await startListener(app, address, credential.context, connections)
  stack.defer(listener.close)
  const note = ({ expiresAt }: TlsCredential) => metrics.tlsCertificateExpiresSeconds.set(expiresAt / 1000)
  note(credential)
  const use = (next: TlsCredential): void => {
    listener.setTls(next.context)
    note(next)
  }
  const following = followTlsFiles({ files, use, now: clock.now, logger, inUse })
  stack.defer(following.close)
  return listener
}

function connectionLimits({ config }: Pick<ListenerParts, 'config'>, exempt: readonly string[]) {
  return { perAddress: config.http.connectionsPerAddress, isExempt: createAddressMatch(exempt) }
}

async function requireTlsCredential(files: TlsFiles, now: number): Promise<TlsCredential> {
  try {
    return await loadTlsCredential(files, now)
  } catch (error) {
    if (error instanceof TlsFileError) throw new ConfigError([error.message])
    throw error
  }
}
