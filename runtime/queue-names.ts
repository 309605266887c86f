/**
 * The queues, each with the jobs that have a schedule in it, for who looks at them from outside of the workers; a test holds them
 * to be those of workers/queues.ts.
 */
export const scheduledJobs = {
  keys: ['destroy-temporal-keys', 'make-temporal-keys'],
  maintenance: [
    'make-session-partitions',
    'end-sessions',
    'prune-sessions',
    'watch-attestations',
    'monitor-events',
    'send-incident-notices',
    'prune-incidents',
    'prune-enrollment-tokens',
    'prune-revocations',
    'rotate-signing-keys',
    'check-clocks',
    'check-collateral',
    'flag-old-identity-keys',
    'tell-ending-api-tokens',
  ],
  long: ['prune-attestations', 'rotate-keks', 'check-audit-log'],
} as const satisfies Record<string, readonly string[]>

/** Of every key of a service in a Redis; the braces keep them together in a cluster. */
export function queuePrefix(rootKid: string): string {
  return `{qflare:${rootKid}}`
}
