// A process of its own that starts the embedded PostgreSQL of the folder named first and tells on standard output what
// came of it. It stops when its standard input ends, so also when the test that made it dies.
import type * as embedded from '../../database/embedded.ts'

const [dataDirectory = '', modulePath = '../../database/embedded.ts'] = process.argv.slice(2)
const { startEmbeddedPostgres, EmbeddedPostgresError } = (await import(modulePath)) as typeof embedded

try {
  const postgres = await startEmbeddedPostgres({ dataDirectory, log: () => undefined })
  const { host, processId } = postgres
  process.stdout.write(`${JSON.stringify({ host, processId })}\n`)
  process.stdin.resume().on('end', () => void postgres.stop())
} catch (error) {
  if (!(error instanceof EmbeddedPostgresError)) throw error
  process.stdout.write(`${JSON.stringify({ code: error.code, message: error.message })}\n`)
  process.stdin.destroy()
}
