import { resolve } from 'node:path'
import { z } from 'zod'
import type { FederationPolicyName } from '../protocol/rounds/federation-policies.ts'
import { addressProblems } from './address-problems.ts'
import { proxyAddress, webOrigin } from './address-settings.ts'
import { defaultCheckpointFile } from './checkpoint-file.ts'
import { type DatabaseUrls, databaseProblems, databaseUrls } from './database-settings.ts'
import {
  type IncidentWebhookSetting,
  incidentWebhookProblems,
  incidentWebhookSetting,
  incidentWebhookVariables,
} from './incident-webhook-setting.ts'
import { type ProfileName, profileNames } from './profile.ts'
import { type RetentionSetting, retentionSetting, retentionVariables } from './retention-setting.ts'
import { type RotationTimes, rotationTimes, rotationVariables } from './rotation-setting.ts'
import {
  type SecurityContact,
  securityContact,
  securityContactProblems,
  securityContactVariables,
} from './security-contact-setting.ts'
import { storeTransportProblems, storeTransportVariables } from './store-transport.ts'
import { temporalRedisProblems } from './temporal-redis-setting.ts'
import { type TracingSetting, tracingSetting, tracingVariables } from './tracing/setting.ts'
import { readUrlFiles, urlFileVariables } from './url-files.ts'
import { type WitnessSetting, witnessSetting } from './witness-setting.ts'

/** Everything that the environment decides, decided once. Secrets are not in here: see secrets.ts. */
export interface Config {
  http: {
    host: string
    port: number
    trustProxy: string[] | undefined
    corsOrigins: string[]
    /** At once, of one address; 0 is no limit. */
    connectionsPerAddress: number
    tls: TlsFiles | undefined
  }
  /** Where health and metrics are served apart from the API; undefined: at the API's port, to this machine only. */
  operator: { host: string; port: number } | undefined
  /** From when `/ready` says that the process stops until it takes no more connections. */
  drainSeconds: number
  limits: LimitsPerMinute
  /** Undefined: nobody is named. */
  securityContact: SecurityContact | undefined
  dataDirectory: string
  /** Undefined: the embedded PostgreSQL. */
  database: DatabaseUrls | undefined
  /** What processes share and may lose: queues, limits, news of what was revoked. Undefined: queues are in PostgreSQL. */
  redisUrl: string | undefined
  /** Where processes share temporal keys; undefined: files of one process. */
  temporalRedisUrl: string | undefined
  databaseConnections: number
  trustDomain: string
  profile: ProfileName
  roles: ('api' | 'worker' | 'sequencer')[]
  audit: {
    /** Where the newest signed checkpoint is kept. */
    checkpointFile: string
    /** After which the bodies of entries go; undefined: never. */
    retentionYears: number | undefined
    /** Whose cosignatures are collected. */
    witnesses: WitnessSetting[]
  }
  /** Of a federation that names none. */
  federationPolicy: FederationPolicyName
  rotation: RotationTimes
  /** After which the identity key of a device is flagged; 0 is never. */
  identityKeyMaxAgeDays: number
  /** How long an API token may live. */
  apiTokenMaxDays: number
  /** Before collateral ends; 0 tells of it when it has ended. */
  collateralWarningHours: number
  /** Undefined: incidents are told of in the log alone. */
  incidentWebhook: IncidentWebhookSetting | undefined
  /** Undefined: nothing is traced. */
  tracing: TracingSetting | undefined
  crypto: 'native' | 'portable' | undefined
  exchangeQueueLength: number
  /** After the end of a day's last session its sessions are dropped. */
  sessionRetentionDays: number
  retention: RetentionSetting
  logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}

/** PEM files, and the groups of the key exchange in OpenSSL's notation: between ":" the client chooses, before "/" we insist. */
export interface TlsFiles {
  certFile: string
  keyFile: string
  groups: string
  /** Authorities of which a client has to have a certificate; undefined: it needs none. */
  clientCaFile: string | undefined
}

/** Requests in a minute; 0 is no limit. */
export interface LimitsPerMinute {
  address: number
  addressRefused: number
  apiToken: number
  device: number
  organization: number
}

export class ConfigError extends Error {
  /** Each begins with the name of its variable. */
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'is not a postgresql:// URL')
const redisUrl = z
  .string()
  .refine((text) => /^rediss?:\/\//.test(text) && URL.canParse(text), 'is not a redis:// or rediss:// URL')
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

const MAX_PER_MINUTE = 100_000_000

const roleNames = ['api', 'worker', 'sequencer'] as const

/** One entry per variable: what it means, its unit, default and maximum stand in config.example.env. */
const environment = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: decimal(0, 65_535).default(8470),
  QFLARE_TRUST_PROXY: commaSeparated.pipe(z.array(proxyAddress).min(1, 'names no address')).optional(),
  QFLARE_CORS_ORIGINS: commaSeparated.pipe(z.array(webOrigin).min(1, 'names no origin')).default([]),
  QFLARE_TLS_CERT_FILE: z.string().optional(),
  QFLARE_TLS_KEY_FILE: z.string().optional(),
  QFLARE_TLS_CLIENT_CA_FILE: z.string().optional(),
  QFLARE_TLS_GROUPS: z
    .string()
    .regex(/^[A-Za-z0-9_-]+([:/][A-Za-z0-9_-]+)*$/, 'is not a list of groups such as X25519MLKEM768/X25519')
    .default('SecP384r1MLKEM1024:X25519MLKEM768'),
  QFLARE_OPERATOR_HOST: z.string().default('127.0.0.1'),
  QFLARE_OPERATOR_PORT: decimal(0, 65_535).optional(),
  QFLARE_DRAIN_SECONDS: decimal(0, 60).default(0),
  QFLARE_LIMIT_CONNECTIONS: decimal(0, 10_000).default(1_000),
  QFLARE_LIMIT_ADDRESS: decimal(0, MAX_PER_MINUTE).default(60_000),
  QFLARE_LIMIT_ADDRESS_REFUSED: decimal(0, MAX_PER_MINUTE).default(600),
  QFLARE_LIMIT_API_TOKEN: decimal(0, MAX_PER_MINUTE).default(12_000),
  QFLARE_LIMIT_DEVICE: decimal(0, MAX_PER_MINUTE).default(120),
  QFLARE_LIMIT_ORGANIZATION: decimal(0, MAX_PER_MINUTE).default(120_000),
  QFLARE_DATA_DIR: z.string().min(1).default('.qflare'),
  DATABASE_URL: postgresUrl.optional(),
  QFLARE_DATABASE_URL_AUDITOR: postgresUrl.optional(),
  QFLARE_DATABASE_URL_WORKER: postgresUrl.optional(),
  QFLARE_DATABASE_URL_SEQUENCER: postgresUrl.optional(),
  QFLARE_DATABASE_URL_QUEUES: postgresUrl.optional(),
  QFLARE_DATABASE_URL_MIGRATOR: postgresUrl.optional(),
  QFLARE_DATABASE_URL_DIRECT: postgresUrl.optional(),
  QFLARE_DATABASE_CONNECTIONS: decimal(2, 200).default(10),
  REDIS_URL: redisUrl.optional(),
  QFLARE_TEMPORAL_REDIS_URL: redisUrl.optional(),
  ...urlFileVariables,
  ...storeTransportVariables,
  QFLARE_ROOT_KEY_FILE: z.string().min(1).optional(),
  QFLARE_TRUST_DOMAIN: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,254}$/, 'is not a SPIFFE trust domain: lower-case letters, digits, dots, dashes')
    .default('qflare.local'),
  QFLARE_PROFILE: z.enum(profileNames).default('default'),
  QFLARE_ROLES: commaSeparated.pipe(z.array(z.enum(roleNames)).min(1)).default([...roleNames]),
  QFLARE_CHECKPOINT_FILE: z.string().min(1).optional(),
  QFLARE_AUDIT_RETENTION_YEARS: decimal(1, 100).optional(),
  QFLARE_WITNESSES: commaSeparated
    .pipe(z.array(witnessSetting).min(1, 'names no witness').max(16, 'names more than 16 witnesses'))
    .default([]),
  ...securityContactVariables,
  ...rotationVariables,
  QFLARE_IDENTITY_KEY_MAX_AGE_DAYS: decimal(0, 3_650).default(365),
  QFLARE_API_TOKEN_MAX_DAYS: decimal(1, 365).default(365),
  QFLARE_COLLATERAL_WARNING_HOURS: decimal(0, 8_760).default(72),
  ...incidentWebhookVariables,
  ...tracingVariables,
  QFLARE_CRYPTO: z.enum(['native', 'portable']).optional(),
  QFLARE_EXCHANGE_QUEUE: decimal(1, 10_000).default(512),
  QFLARE_SESSION_RETENTION_DAYS: decimal(1, 3_650).default(7),
  ...retentionVariables,
  QFLARE_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
})

export const configVariables = Object.keys(environment.shape)

/** The one place that the environment is read; main.ts hands it on. */
export function readEnvironment(): Record<string, string | undefined> {
  return process.env
}

/** Throws ConfigError with every problem at once. An empty variable counts as not set. Reads the files that hold URLs. */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const given: Present = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const { variables: present, problems: fileProblems } = readUrlFiles(given)
  const parsed = environment.safeParse(present)
  const issues = parsed.error?.issues ?? []
  const problems = [
    ...fileProblems,
    ...issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    ...addressProblems(present),
    ...databaseProblems(present),
    ...rolesProblems(present),
    ...temporalRedisProblems(present),
    ...storeTransportProblems(present),
    ...incidentWebhookProblems(present),
    ...securityContactProblems(present),
  ]
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems)
  const variables = parsed.data
  const dataDirectory = resolve(variables.QFLARE_DATA_DIR)
  return {
    http: {
      host: variables.HOST,
      port: variables.PORT,
      trustProxy: variables.QFLARE_TRUST_PROXY,
      corsOrigins: variables.QFLARE_CORS_ORIGINS,
      connectionsPerAddress: variables.QFLARE_LIMIT_CONNECTIONS,
      tls: tlsFiles(variables),
    },
    operator: operatorAddress(variables),
    drainSeconds: variables.QFLARE_DRAIN_SECONDS,
    limits: {
      address: variables.QFLARE_LIMIT_ADDRESS,
      addressRefused: variables.QFLARE_LIMIT_ADDRESS_REFUSED,
      apiToken: variables.QFLARE_LIMIT_API_TOKEN,
      device: variables.QFLARE_LIMIT_DEVICE,
      organization: variables.QFLARE_LIMIT_ORGANIZATION,
    },
    securityContact: securityContact(variables),
    dataDirectory,
    database: databaseUrls(variables),
    redisUrl: variables.REDIS_URL,
    temporalRedisUrl: variables.QFLARE_TEMPORAL_REDIS_URL,
    databaseConnections: variables.QFLARE_DATABASE_CONNECTIONS,
    trustDomain: variables.QFLARE_TRUST_DOMAIN,
    profile: variables.QFLARE_PROFILE,
    roles: variables.QFLARE_ROLES,
    audit: {
      checkpointFile: resolve(variables.QFLARE_CHECKPOINT_FILE ?? defaultCheckpointFile(dataDirectory)),
      retentionYears: variables.QFLARE_AUDIT_RETENTION_YEARS,
      witnesses: variables.QFLARE_WITNESSES,
    },
    federationPolicy: variables.DATABASE_URL === undefined ? 'development' : 'production',
    rotation: rotationTimes(variables),
    identityKeyMaxAgeDays: variables.QFLARE_IDENTITY_KEY_MAX_AGE_DAYS,
    apiTokenMaxDays: variables.QFLARE_API_TOKEN_MAX_DAYS,
    collateralWarningHours: variables.QFLARE_COLLATERAL_WARNING_HOURS,
    incidentWebhook: incidentWebhookSetting(variables),
    tracing: tracingSetting(variables),
    crypto: variables.QFLARE_CRYPTO,
    exchangeQueueLength: variables.QFLARE_EXCHANGE_QUEUE,
    sessionRetentionDays: variables.QFLARE_SESSION_RETENTION_DAYS,
    retention: retentionSetting(variables),
    logLevel: variables.QFLARE_LOG_LEVEL,
  }
}

type Present = Record<string, string | undefined>
type Variables = z.output<typeof environment>

function tlsFiles(variables: Variables): TlsFiles | undefined {
  const { QFLARE_TLS_CERT_FILE: certFile, QFLARE_TLS_KEY_FILE: keyFile, QFLARE_TLS_GROUPS: groups } = variables
  if (certFile === undefined || keyFile === undefined) return undefined
  const { QFLARE_TLS_CLIENT_CA_FILE: clientCaFile } = variables
  return {
    certFile: resolve(certFile),
    keyFile: resolve(keyFile),
    groups,
    clientCaFile: clientCaFile === undefined ? undefined : resolve(clientCaFile),
  }
}

function operatorAddress({ QFLARE_OPERATOR_HOST: host, QFLARE_OPERATOR_PORT: port }: Variables): Config['operator'] {
  return port === undefined ? undefined : { host, port }
}

/** The embedded PostgreSQL belongs to one process, and its keys are made by a worker. */
function rolesProblems({ QFLARE_ROLES: roles, DATABASE_URL: url }: Present): string[] {
  if (roles?.trim() !== 'sequencer' || url !== undefined) return []
  return [
    'QFLARE_ROLES: a sequencer alone needs a database that others use too: set DATABASE_URL, or add api and worker.',
  ]
}
