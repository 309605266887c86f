import { z } from 'zod'
import { isLoopback } from './address-problems.ts'
import { urlVariables } from './url-files.ts'

export const storeTransportVariables = {
  QFLARE_STORES_WITHOUT_TLS: z.string().optional(),
}

/** Stands where a URL needs a host and has none. */
const NO_HOST = 'nowhere'

type Present = Record<string, string | undefined>

interface Store {
  /** As it stands in QFLARE_STORES_WITHOUT_TLS; empty for a Unix socket. */
  host: string
  isEncrypted: boolean
  /** What makes it so. */
  remedy: string
}

/**
 * What goes to PostgreSQL and Redis on another machine is encrypted, and their certificates are verified, unless the host is one of
 * QFLARE_STORES_WITHOUT_TLS. Each problem begins with the name of its variable, and holds no password.
 */
export function storeTransportProblems(variables: Present): string[] {
  const allowed = new Set(variables.QFLARE_STORES_WITHOUT_TLS?.split(',').map((host) => host.trim()))
  return urlVariables.flatMap((name) => {
    const text = variables[name]
    const store = text === undefined ? undefined : parseStore(text, variables.PGHOST)
    if (store === undefined || store.isEncrypted || isOnThisMachine(store.host) || allowed.has(store.host)) return []
    return [
      `${name}: ${store.host} is another machine, and what goes there would not be encrypted, or to nobody knows whom:` +
        ` ${store.remedy}, or name ${store.host} in QFLARE_STORES_WITHOUT_TLS where nobody else reaches the way to it.`,
    ]
  })
}

/** What is no URL is a problem of its own. */
function parseStore(text: string, defaultHost: string | undefined): Store | undefined {
  if (/^rediss?:/.test(text)) {
    if (!URL.canParse(text)) return undefined
    const { protocol, hostname, searchParams } = new URL(text)
    const host = unbracketed(hostname) || (searchParams.get('host') ?? '')
    return { host, isEncrypted: protocol === 'rediss:', remedy: 'begin it with rediss://' }
  }
  // With a user and no host it is no URL but for PostgreSQL, which has the host from elsewhere then.
  const url = [text, text.replace('@/', `@${NO_HOST}/`)].find((each) => URL.canParse(each))
  if (!/^postgres(ql)?:/.test(text) || url === undefined) return undefined
  const { hostname, searchParams } = new URL(url)
  const named = url === text ? decodeURIComponent(unbracketed(hostname)) : ''
  const host = searchParams.getAll('host').at(-1) || named || defaultHost || ''
  const isEncrypted = searchParams.getAll('sslmode').at(-1) === 'verify-full'
  return { host, isEncrypted, remedy: 'add sslmode=verify-full' }
}

function isOnThisMachine(host: string): boolean {
  return host === '' || host.startsWith('/') || isLoopback(host)
}

function unbracketed(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}
