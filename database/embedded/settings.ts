import { postgresPort } from './socket-folder.ts'

const defaultSettings: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '100',
  shared_buffers: '128MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  wal_compression: 'on',
  log_min_messages: 'warning',
  log_line_prefix: '%m [%p] ',
  // a shared log must not show the values that a violated constraint names
  log_error_verbosity: 'terse',
}

/** Settings are given as arguments: there neither ALTER SYSTEM nor an edited file can turn off what we rely on. */
export function toCommand(
  program: string,
  pgdata: string,
  socketFolder: string,
  settings: Readonly<Record<string, string>>,
): readonly string[] {
  const pairs = Object.entries({ ...defaultSettings, ...settings })
  return [program, '-D', pgdata, '-k', socketFolder, '-p', String(postgresPort)].concat(
    pairs.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  )
}
