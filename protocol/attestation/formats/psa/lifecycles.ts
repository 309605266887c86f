/** The security lifecycle's major states by their number, which is the upper half of the upper byte (RFC 9783 §4.3.1). */
export const lifecycleNames = [
  'unknown',
  'assembly-and-test',
  'psa-rot-provisioning',
  'secured',
  'non-psa-rot-debug',
  'recoverable-psa-rot-debug',
  'decommissioned',
] as const
export type LifecycleName = (typeof lifecycleNames)[number]

/** Undefined for what is no state. The lower byte means something to the implementation alone. */
export function findLifecycleName(state: number): LifecycleName | undefined {
  return (state & 0x0f00) === 0 ? lifecycleNames[state >> 12] : undefined
}
