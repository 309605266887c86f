/** A login for each role. */
export interface DatabaseUrls {
  api: string
  auditor: string
  worker: string
  sequencer: string
  /** Undefined where the queues are on Redis. */
  queues: string | undefined
  /** Undefined where somebody else migrates, so that this process cannot change the schema. */
  migrator: string | undefined
  /** PostgreSQL itself, where the roles but queues and migrator go through a pooler in transaction mode. */
  direct: string | undefined
}

type Variables = Record<string, unknown>

const required = ['QFLARE_DATABASE_URL_AUDITOR', 'QFLARE_DATABASE_URL_WORKER', 'QFLARE_DATABASE_URL_SEQUENCER']
const MIGRATOR = 'QFLARE_DATABASE_URL_MIGRATOR'
const QUEUES = 'QFLARE_DATABASE_URL_QUEUES'
const DIRECT = 'QFLARE_DATABASE_URL_DIRECT'

export function databaseUrls(variables: {
  DATABASE_URL?: string | undefined
  QFLARE_DATABASE_URL_AUDITOR?: string | undefined
  QFLARE_DATABASE_URL_WORKER?: string | undefined
  QFLARE_DATABASE_URL_SEQUENCER?: string | undefined
  QFLARE_DATABASE_URL_QUEUES?: string | undefined
  QFLARE_DATABASE_URL_MIGRATOR?: string | undefined
  QFLARE_DATABASE_URL_DIRECT?: string | undefined
}): DatabaseUrls | undefined {
  const {
    DATABASE_URL: api,
    QFLARE_DATABASE_URL_AUDITOR: auditor,
    QFLARE_DATABASE_URL_WORKER: worker,
    QFLARE_DATABASE_URL_SEQUENCER: sequencer,
    QFLARE_DATABASE_URL_QUEUES: queues,
    QFLARE_DATABASE_URL_MIGRATOR: migrator,
    QFLARE_DATABASE_URL_DIRECT: direct,
  } = variables
  return api && auditor && worker && sequencer
    ? { api, auditor, worker, sequencer, queues, migrator, direct }
    : undefined
}

/** Each begins with the name of its variable. */
export function databaseProblems(variables: Variables): string[] {
  const isOwn = variables.DATABASE_URL !== undefined
  const logins = isOwn && variables.REDIS_URL !== undefined ? [...required] : [...required, QUEUES]
  if (!isOwn) logins.push(MIGRATOR, DIRECT)
  return logins
    .filter((name) => (variables[name] !== undefined) !== isOwn)
    .map((name) => {
      if (!isOwn) {
        return `${name}: is set without DATABASE_URL, so that the embedded PostgreSQL would be used. Set DATABASE_URL too, or leave it out.`
      }
      const when = name === QUEUES ? ', where there is no REDIS_URL' : ''
      return `${name}: is required with DATABASE_URL${when}: each role has a login of its own.`
    })
}
