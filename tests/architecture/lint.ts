import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readText, root } from './repository.ts'

export interface Refusal {
  readonly path: string
  /** From 1. */
  readonly line: number
  /** Without the plugin: `no-restricted-imports`, `no-console` … */
  readonly rule: string
}

/**
 * Lints files that exist nowhere else, under the rules and folder names of this repository. The rules that need types
 * are left out: they say nothing about boundaries and want a tsconfig.json.
 */
export function lint(files: ReadonlyMap<string, string>): Refusal[] {
  const folder = mkdtempSync(join(tmpdir(), 'qflare-lint-'))
  try {
    const config = { ...(JSON.parse(readText('.oxlintrc.json')) as object), options: { typeAware: false } }
    writeFileSync(join(folder, '.oxlintrc.json'), JSON.stringify(config))
    for (const [path, text] of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    return toRefusals(run(folder), files)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface Report {
  readonly diagnostics: readonly {
    readonly code?: string
    readonly filename: string
    readonly labels: readonly { readonly span: { readonly line: number } }[]
  }[]
  readonly number_of_files: number
}

function run(folder: string): Report {
  const oxlint = join(root, 'node_modules', 'oxlint', 'bin', 'oxlint')
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, '--format=json'], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  try {
    return JSON.parse(stdout) as Report
  } catch (cause) {
    throw new Error(`oxlint gave no report: ${stdout.slice(0, 2000)}${stderr.slice(0, 2000)}`, { cause })
  }
}

function toRefusals(report: Report, files: ReadonlyMap<string, string>): Refusal[] {
  if (report.number_of_files !== files.size) {
    throw new Error(`oxlint read ${report.number_of_files} of ${files.size} files`)
  }
  return report.diagnostics.map(({ code = 'unreadable', filename, labels }) => ({
    path: filename,
    line: labels[0]?.span.line ?? 0,
    rule: code.replace(/^.*\((.*)\)$/, '$1'),
  }))
}
