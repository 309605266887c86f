import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { describeSchema } from '../database/describe-schema.ts'
import { startEmbeddedPostgres } from '../database/embedded.ts'
import { migrate } from '../database/migrate.ts'
import { prepareEmbedded } from '../database/prepare-embedded.ts'
import { policySchema } from '../protocol/attestation/policy-schema.ts'

// `npm run schema`: what the migrations make of an empty PostgreSQL, and what an appraisal policy may say, for readers and for the tests
// that compare them.
const policyFile = join(import.meta.dirname, '..', 'deploy', 'policies', 'policy.schema.json')
await writeFile(policyFile, `${JSON.stringify(policySchema(), null, 2)}\n`)
console.log(`Written: ${policyFile}`)

const file = join(import.meta.dirname, '..', 'database', 'schema.sql')
const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-schema-'))
// PostgreSQL runs as another user when this runs as root.
await chmod(dataDirectory, 0o711)
try {
  const postgres = await startEmbeddedPostgres({ dataDirectory, log: () => {} })
  try {
    const { superuser } = await prepareEmbedded(postgres)
    await migrate(superuser)
    const client = new Client(superuser)
    await client.connect()
    await writeFile(file, await describeSchema(client))
    await client.end()
    console.log(`Written: ${file}`)
  } finally {
    await postgres.stop()
  }
} finally {
  await rm(dataDirectory, { recursive: true, force: true })
}
