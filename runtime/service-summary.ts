import { relative, resolve } from 'node:path'
import type { Config } from './config.ts'
import { adminTokenFile } from './secrets.ts'

const DEFAULT_URL = 'http://127.0.0.1:8470'
const DEFAULT_FOLDER = '.qflare'

/** What a person at the terminal needs once the service is ready: places, mode, and what to do next. No secret. */
export function describeService(
  config: Pick<Config, 'dataDirectory' | 'database' | 'redisUrl' | 'profile' | 'trustDomain' | 'roles'>,
  running: { url: string | undefined; operatorUrl: string | undefined; hasAdminToken: boolean; workingFolder: string },
): { headline: string; lines: string[] } {
  const { dataDirectory, database, redisUrl, profile, trustDomain, roles } = config
  const { url, operatorUrl, hasAdminToken, workingFolder } = running
  const nameOf = (path: string) => {
    const near = relative(workingFolder, path)
    return near === '' || near.startsWith('..') ? path : near
  }
  const token = adminTokenFile(dataDirectory)
  const postgres = database === undefined ? 'an embedded PostgreSQL' : 'the PostgreSQL of DATABASE_URL'
  const queues = redisUrl === undefined ? 'queues in it' : 'queues in the Redis of REDIS_URL'
  const health = operatorUrl ?? url
  const rows: (readonly [string, string] | undefined)[] = [
    url === undefined ? undefined : ['API to read and try', `${url}/docs`],
    health === undefined
      ? undefined
      : ['health, metrics', `${health}/ready, /metrics${operatorUrl === undefined ? ' (from this machine)' : ''}`],
    ['admin token', hasAdminToken ? nameOf(token) : `none at ${nameOf(token)}: qflare admin-token recover makes one`],
    ['data', `${nameOf(dataDirectory)}, ${postgres}, ${queues}`],
    ['mode', `${roles.join(', ')}; profile ${profile}; trust domain ${trustDomain}`],
  ]
  const width = Math.max(...rows.map((row) => row?.[0].length ?? 0))
  return {
    headline: url === undefined ? `QFLARE works for others, as ${roles.join(' and ')}` : `QFLARE is ready at ${url}`,
    lines: [
      ...rows.flatMap((row) => (row === undefined ? [] : [`  ${row[0].padEnd(width)}   ${row[1]}`])),
      '',
      'In another terminal, in this folder:',
      ...nextCommands(url, dataDirectory, workingFolder).map((command) => `  ${command}`),
      'Ctrl-C stops the service.',
    ],
  }
}

/** That work as they stand there. */
function nextCommands(url: string | undefined, dataDirectory: string, workingFolder: string): string[] {
  const isElsewhere = dataDirectory !== resolve(workingFolder, DEFAULT_FOLDER)
  const settings = [
    ...(url === undefined || url === DEFAULT_URL ? [] : [`QFLARE_URL=${url}`]),
    ...(isElsewhere ? [`QFLARE_DATA_DIR=${quoted(dataDirectory)}`] : []),
  ]
  return [
    ...(settings.length === 0 ? [] : [`export ${settings.join(' ')}`]),
    ...(url === undefined ? [] : ['npm run demo']),
    `npx --no qflare doctor${url === undefined || url === DEFAULT_URL ? '' : ` --at ${url}`}`,
  ]
}

/** For a shell. */
function quoted(text: string): string {
  return /^[\w./:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
