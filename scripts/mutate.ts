import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findMutants, type Mutant } from './find-mutants.ts'

// `node scripts/mutate.ts protocol/attestation/formats/tpm2 --test tests/unit/protocol/attestation/tpm2.test.ts`
// Which guards of these files or folders no test of these files would miss. It works in a copy, and ends with 1 when there are some.
const usage = 'node scripts/mutate.ts FILE-OR-FOLDER… --test FILE… [--project unit] [--jobs 1] [--from 0] [--to N]'
const root = join(import.meta.dirname, '..')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    test: { type: 'string', multiple: true, default: [] },
    project: { type: 'string', default: 'unit' },
    jobs: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    to: { type: 'string', default: 'Infinity' },
  },
})
if (positionals.length === 0 || values.test.length === 0) throw new Error(usage)
/** Of one run of the tests. A mutant that never ends is found, too. */
const TIMEOUT_MS = 60_000

const files = (
  await Promise.all(
    positionals.map(async (path) =>
      (await stat(join(root, path))).isDirectory() ? globSync(`${path}/**/*.ts`, { cwd: root }) : [path],
    ),
  )
).flat()
const mutants: (Mutant & { path: string })[] = []
for (const path of files.toSorted()) {
  const found = findMutants(path, await readFile(join(root, path), 'utf8'))
  mutants.push(...found.map((mutant) => ({ ...mutant, path })))
}
const chosen = mutants.slice(Number(values.from), Number(values.to))
console.log(`${chosen.length} mutants of ${files.length} files`)

const folder = await mkdtemp(join(tmpdir(), 'qflare-mutants-'))
const survivors: string[] = []
try {
  const copies = await Promise.all(
    Array.from({ length: Number(values.jobs) }, (_, job) => makeCopy(join(folder, String(job)))),
  )
  const [first = folder] = copies
  if (!(await passes(first))) throw new Error('the tests fail without any mutant')
  let next = 0
  await Promise.all(
    copies.map(async (copy) => {
      for (let index = next++; index < chosen.length; index = next++) await tryMutant(copy, index)
    }),
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(`${chosen.length - survivors.length} killed, ${survivors.length} survived`)
for (const survivor of survivors) console.log(survivor)
process.exitCode = survivors.length === 0 ? 0 : 1

async function makeCopy(copy: string): Promise<string> {
  const skipped = ['node_modules', '.git', '.qflare', 'dist'].map((name) => join(root, name))
  await cp(root, copy, { recursive: true, filter: (path) => !skipped.includes(path) })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

async function tryMutant(copy: string, index: number): Promise<void> {
  const { path, line, what, text } = chosen[index] as (typeof chosen)[number]
  const file = join(copy, path)
  await writeFile(file, text)
  const isAlive = await passes(copy)
  await cp(join(root, path), file)
  const name = `${path}:${line} ${what}`
  if (isAlive) survivors.push(name)
  console.log(`${index + Number(values.from)} ${isAlive ? 'SURVIVED' : 'killed'} ${name}`)
}

function passes(copy: string): Promise<boolean> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--bail', '1', '--project', values.project, ...values.test], {
    cwd: copy,
    stdio: 'ignore',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code === 0))
  })
}
