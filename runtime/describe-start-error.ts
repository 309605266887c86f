/** What a person at a terminal needs: the reason and what to do, without a stack where the reason is known. */
export function describeStartError(error: unknown): string {
  if (!(error instanceof Error)) return `QFLARE did not start: ${String(error)}`
  const { code = '', syscall } = error as NodeJS.ErrnoException
  if (error.name === 'SealError') {
    return `QFLARE did not start: ${error.message} Is the root key the one of this database?`
  }
  if (error instanceof AggregateError) return `QFLARE did not start: ${error.errors.map(String).join(', ')}`
  // What the system or PostgreSQL refuses (no login, no database, no right, no room) says itself what it is about.
  const isRefusal = syscall !== undefined || /^(08|28|3D|53|57)...$|^42501$/.test(code)
  const isExplained = [
    'AuditLogError',
    'ConfigError',
    'FileError',
    'EmbeddedPostgresError',
    'DatabaseError',
    'ListenError',
    'ProtocolError',
    'RedisError',
    'TemporalStoreError',
  ].includes(error.name)
  return `QFLARE did not start: ${isRefusal || isExplained ? error.message : (error.stack ?? error.message)}`
}
