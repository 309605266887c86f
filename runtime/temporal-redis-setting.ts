/** Where one process does not do everything, temporal keys are in a Redis, which is not that of the queues. */
export function temporalRedisProblems(variables: Record<string, string | undefined>): string[] {
  const { QFLARE_TEMPORAL_REDIS_URL: temporal, REDIS_URL: queues, DATABASE_URL: database } = variables
  if (temporal === undefined) {
    // Without a list it is every role.
    const roles = variables.QFLARE_ROLES?.split(',').map((role) => role.trim()) ?? []
    if (database === undefined || roles.includes('api') === roles.includes('worker')) return []
    return [
      'QFLARE_TEMPORAL_REDIS_URL: is required where the roles api and worker are in processes of their own: without it' +
        ' temporal keys are files of one process.',
    ]
  }
  if (database === undefined) {
    return ['QFLARE_TEMPORAL_REDIS_URL: is for processes that share a database: set DATABASE_URL too, or leave it out.']
  }
  if (queues === undefined || serverOf(queues) !== serverOf(temporal)) return []
  // What is kept for the queues may be written to a disk.
  return ['QFLARE_TEMPORAL_REDIS_URL: is the Redis of REDIS_URL; temporal keys need one of their own.']
}

function serverOf(url: string): string {
  // What is no URL is a problem of its own.
  if (!URL.canParse(url)) return url
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || '6379'}`
}
