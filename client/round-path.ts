/** Of a round, in the API. */
export function roundPath(federationId: string, round: number): string {
  return `/v1/federations/${encodeURIComponent(federationId)}/rounds/${round}`
}
