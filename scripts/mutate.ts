import { globSync, rmSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createVitest, type Vitest } from 'vitest/node'
import { findMutants, type Mutant } from './find-mutants.ts'

// `node scripts/mutate.ts protocol/attestation/formats/tpm2 --test tests/unit/protocol/attestation/tpm2.test.ts`
// Which guards of these files or folders no test of these files would miss. It works in a copy, and ends with 1 when there are some.
const usage =
  'node scripts/mutate.ts FILE-OR-FOLDER… --test FILE [--test FILE]… [--project unit] [--from 0] [--to N] [--only PATTERN]'
const root = join(import.meta.dirname, '..')
const MUTANT_MS = 120_000
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    test: { type: 'string', multiple: true, default: [] },
    project: { type: 'string', default: 'unit' },
    from: { type: 'string', default: '0' },
    to: { type: 'string', default: 'Infinity' },
    only: { type: 'string', default: '' },
  },
})
if (positionals.length === 0 || values.test.length === 0) throw new Error(usage)

const files = (
  await Promise.all(
    positionals.map(async (path) =>
      (await stat(join(root, path))).isDirectory() ? globSync(`${path}/**/*.ts`, { cwd: root }) : [path],
    ),
  )
).flat()
const mutants: (Mutant & { path: string; original: string })[] = []
for (const path of files.toSorted()) {
  const original = await readFile(join(root, path), 'utf8')
  mutants.push(...findMutants(path, original).map((mutant) => ({ ...mutant, path, original })))
}
const pattern = new RegExp(values.only)
const chosen = mutants
  .slice(Number(values.from), Number(values.to))
  .filter(({ path, line, what }) => pattern.test(`${path}:${line} ${what}`))
console.log(`${chosen.length} mutants of ${files.length} files`)

const folder = await makeCopy()
const survivors: string[] = []
try {
  const vitest = await createVitest('test', {
    root: folder,
    project: [values.project],
    watch: false,
    reporters: [{}],
    bail: 1,
    pool: 'threads',
    maxWorkers: 1,
    // What the files share, such as keys, is made once.
    isolate: false,
  })
  try {
    if (!(await passes(vitest))) throw new Error('the tests fail without any mutant')
    for (const [index, { path, line, what, text, original }] of chosen.entries()) {
      const file = join(folder, path)
      await writeFile(file, text)
      vitest.invalidateFile(file)
      const name = `${path}:${line} ${what}`
      const watchdog = setTimeout(
        giveUp,
        MUTANT_MS,
        `${name} runs without an end: go on with --from ${index + Number(values.from) + 1}`,
      )
      const isAlive = await passes(vitest)
      clearTimeout(watchdog)
      await writeFile(file, original)
      vitest.invalidateFile(file)
      if (isAlive) survivors.push(name)
      console.log(`${index + Number(values.from)} ${isAlive ? 'SURVIVED' : 'killed'} ${name}`)
    }
    // What breaks the copy would kill every mutant after it.
    if (!(await passes(vitest))) throw new Error('the tests fail without any mutant at the end: no verdict counts')
  } finally {
    await vitest.close()
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(`${chosen.length - survivors.length} killed, ${survivors.length} survived`)
for (const survivor of survivors) console.log(survivor)
process.exitCode = survivors.length === 0 ? 0 : 1

/** A loop that a mutant made endless ends with the process alone. */
function giveUp(reason: string): void {
  rmSync(folder, { recursive: true, force: true })
  console.error(reason)
  process.exit(3)
}

async function makeCopy(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'qflare-mutants-'))
  const skipped = ['node_modules', '.git', '.qflare', 'dist'].map((name) => join(root, name))
  await cp(root, copy, { recursive: true, filter: (path) => !skipped.includes(path) })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

async function passes(vitest: Vitest): Promise<boolean> {
  const all = await vitest.globTestSpecifications(values.test)
  if (all.length === 0) throw new Error('there are no such tests')
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(all, true)
  return unhandledErrors.length === 0 && testModules.every((module) => module.state() === 'passed')
}
