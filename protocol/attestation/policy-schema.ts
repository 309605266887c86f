import { z } from 'zod'
import type { Json } from '../encoding.ts'
import { policyDocument } from './policy.ts'

/** The JSON schema of a policy as people write it, for their editors: what stands in deploy/policies/policy.schema.json. */
export function policySchema(): Json {
  const schema = z.toJSONSchema(policyDocument, { io: 'input', unrepresentable: 'any' })
  // It holds no undefined and no function: plain JSON.
  return JSON.parse(JSON.stringify(schema)) as Json
}
