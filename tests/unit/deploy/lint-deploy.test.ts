import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { validate } from 'dockerfile-utils'
import { describe, expect, test } from 'vitest'
import { listFiles } from '../../architecture/repository.ts'
import { findProgram } from '../../support/find-program.ts'

// No engine builds or starts what stands in deploy/ here: this is what linters and a schema know of it.

/** In CI they have to be there: a test that is skipped there proves nothing. */
const isCi = process.env.CI === 'true'
const run = promisify(execFile)
const yamllint = findProgram('yamllint')
const shellcheck = findProgram('shellcheck')
/** As our own files are written: long lines, no marks of a document, spaces inside of braces. */
const YAML_RULES =
  '{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, truthy: {check-keys: false}}}'

async function complaintsOf(program: string, args: readonly string[]): Promise<string> {
  try {
    await run(program, args)
    return ''
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string }
    return stdout + stderr || message
  }
}

test('the compose file is one by the schema of compose-spec', async () => {
  const lint = (file: string) => complaintsOf(process.execPath, ['node_modules/dclint/bin/dclint.cjs', '--quiet', file])
  expect(await lint('docker-compose.yml')).toBe('')
  const folder = await mkdtemp(join(tmpdir(), 'qflare-compose-'))
  const wrong = join(folder, 'docker-compose.yml')
  await writeFile(wrong, (await readFile('docker-compose.yml', 'utf8')).replace('healthcheck:', 'healthchek:'))
  expect(await lint(wrong)).toContain('must NOT have additional properties')
  await rm(folder, { recursive: true })
})

test('nothing is to be said against the Dockerfile', async () => {
  expect(validate(await readFile('deploy/Dockerfile', 'utf8'))).toEqual([])
})

describe.skipIf(yamllint === undefined && !isCi)('yamllint', () => {
  test('has nothing to say against a file', async () => {
    const files = listFiles().filter((path) => /\.ya?ml$/.test(path) && !path.includes('/templates/'))
    expect(files).toContain('docker-compose.yml')
    expect(await complaintsOf(String(yamllint), ['--strict', '-d', YAML_RULES, ...files])).toBe('')
  })
})

describe.skipIf(shellcheck === undefined && !isCi)('shellcheck', () => {
  test('has nothing to say against a script', async () => {
    const files = listFiles().filter((path) => path.endsWith('.sh') || path === '.ci/run')
    expect(files.length).toBeGreaterThan(2)
    expect(await complaintsOf(String(shellcheck), files)).toBe('')
  })
})
