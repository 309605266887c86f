import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { z } from 'zod'

/** Everything that the environment decides, decided once. Secrets are not in here: see secrets.ts. */
export interface Config {
  http: { host: string; port: number; trustProxy: string[] | undefined }
  dataDirectory: string
  /** Undefined: the embedded PostgreSQL. */
  database: { api: string; worker: string; migrator: string } | undefined
  databaseConnections: number
  trustDomain: string
  roles: ('api' | 'worker')[]
  crypto: 'native' | 'portable' | undefined
  exchangeQueueLength: number
  logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}

export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
  }
}

const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'is not a postgresql:// URL')
const commaSeparated = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
)

const decimal = (min: number, max: number) =>
  z
    .string()
    .regex(/^[0-9]{1,9}$/, 'is not a decimal number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))

/** An address or a network; a name could be made to mean another machine. */
const proxyAddress = z.string().refine(isAddressOrNetwork, 'is not an IP address or a network such as 10.0.0.0/8')

/** One entry per variable: what it means, its unit, default and maximum stand in config.example.env. */
const environment = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: decimal(0, 65_535).default(8470),
  QFLARE_TRUST_PROXY: commaSeparated.pipe(z.array(proxyAddress).min(1, 'names no address')).optional(),
  QFLARE_DATA_DIR: z.string().min(1).default('.qflare'),
  DATABASE_URL: postgresUrl.optional(),
  QFLARE_DATABASE_URL_WORKER: postgresUrl.optional(),
  QFLARE_DATABASE_URL_MIGRATOR: postgresUrl.optional(),
  QFLARE_DATABASE_CONNECTIONS: decimal(2, 200).default(10),
  QFLARE_ROOT_KEY_FILE: z.string().min(1).optional(),
  QFLARE_TRUST_DOMAIN: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,254}$/, 'is not a SPIFFE trust domain: lower-case letters, digits, dots, dashes')
    .default('qflare.local'),
  QFLARE_ROLES: commaSeparated.pipe(z.array(z.enum(['api', 'worker'])).min(1)).default(['api', 'worker']),
  QFLARE_CRYPTO: z.enum(['native', 'portable']).optional(),
  QFLARE_EXCHANGE_QUEUE: decimal(1, 10_000).default(512),
  QFLARE_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
})

export const configVariables = Object.keys(environment.shape)

/** The one place that the environment is read; main.ts hands it on. */
export function readEnvironment(): Record<string, string | undefined> {
  return process.env
}

/** Throws ConfigError with every problem at once. An empty variable counts as not set. */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const present: Present = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const parsed = environment.safeParse(present)
  const issues = parsed.error?.issues ?? []
  const problems = [
    ...issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    ...hostProblems(present),
    ...databaseProblems(present),
  ]
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems)
  const variables = parsed.data
  const { DATABASE_URL: api, QFLARE_DATABASE_URL_WORKER: worker, QFLARE_DATABASE_URL_MIGRATOR: migrator } = variables
  return {
    http: { host: variables.HOST, port: variables.PORT, trustProxy: variables.QFLARE_TRUST_PROXY },
    dataDirectory: resolve(variables.QFLARE_DATA_DIR),
    database: api && worker && migrator ? { api, worker, migrator } : undefined,
    databaseConnections: variables.QFLARE_DATABASE_CONNECTIONS,
    trustDomain: variables.QFLARE_TRUST_DOMAIN,
    roles: variables.QFLARE_ROLES,
    crypto: variables.QFLARE_CRYPTO,
    exchangeQueueLength: variables.QFLARE_EXCHANGE_QUEUE,
    logLevel: variables.QFLARE_LOG_LEVEL,
  }
}

export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' ||
    host === '::1' ||
    host === '::ffff:127.0.0.1' ||
    (isIP(host) === 4 && host.startsWith('127.'))
  )
}

type Present = Record<string, string | undefined>

function isAddressOrNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  if (isIP(address) === 0 || rest.length > 0) return false
  return prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= (isIP(address) === 4 ? 32 : 128))
}

function hostProblems({ HOST: host, QFLARE_TRUST_PROXY: trustProxy }: Present): string[] {
  if (host === undefined || isLoopback(host) || trustProxy !== undefined) return []
  return [
    `HOST: ${host} is reachable from other machines, and this service speaks plain HTTP. Put a proxy that ends TLS before it` +
      ' and name its addresses in QFLARE_TRUST_PROXY, or stay on 127.0.0.1.',
  ]
}

function databaseProblems(variables: Present): string[] {
  if (variables.DATABASE_URL === undefined) return []
  return ['QFLARE_DATABASE_URL_WORKER', 'QFLARE_DATABASE_URL_MIGRATOR']
    .filter((name) => variables[name] === undefined)
    .map((name) => `${name}: is required with DATABASE_URL: each role has a login of its own.`)
}
