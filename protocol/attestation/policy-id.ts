import { z } from 'zod'

/** What a policy is called: 1 to 64 characters. `none` is built in, and nobody's to write. */
export const policyName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'Not the name of a policy: 1 to 64 of a-z, 0-9, ".", "_" and "-".')

export const POLICY_NONE = 'none'

/** A policy, or one version of it: `edge` is the newest at the time, `edge@3` is always the same. */
export const policyId = z
  .string()
  .refine((text) => parsePolicyId(text) !== undefined, 'Not the id of a policy: NAME, or NAME@VERSION.')
  .meta({ description: '`name`, the newest version at the time, or `name@version`' })

export interface PolicyVersion {
  name: string
  version: number
}

/** Undefined for what is none. `none` has no versions. */
export function parsePolicyId(id: string): { name: string; version: number | undefined } | undefined {
  const [name = '', version, ...rest] = id.split('@')
  if (rest.length > 0 || !policyName.safeParse(name).success) return undefined
  if (version === undefined) return { name, version: undefined }
  const isVersion = /^[1-9]\d{0,8}$/.test(version) && name !== POLICY_NONE
  return isVersion ? { name, version: Number(version) } : undefined
}

/** What a result names. */
export function toPolicyId({ name, version }: PolicyVersion): string {
  return `${name}@${version}`
}
