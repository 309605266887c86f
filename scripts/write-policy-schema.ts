import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { policySchema } from '../protocol/attestation/policy-schema.ts'

// `npm run policy-schema`: what a policy may say, for editors and for the test that compares it.
const file = join(import.meta.dirname, '..', 'deploy', 'policies', 'policy.schema.json')
await writeFile(file, `${JSON.stringify(policySchema(), null, 2)}\n`)
console.log(`Written: ${file}`)
