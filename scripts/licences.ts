import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

export interface LockedPackage {
  /** In the lockfile, `node_modules/…`. */
  path: string
  name: string
  version: string
  license?: string
  integrity?: string
  /** There to build and test alone. */
  dev?: boolean
  hasInstallScript?: boolean
}

/** What package-lock.json names, on every platform. */
export async function readLockedPackages(): Promise<LockedPackage[]> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Omit<LockedPackage, 'path' | 'name'>>
  }
  return Object.entries(lock.packages).flatMap(([path, found]) =>
    path === '' ? [] : [{ ...found, path, name: path.replace(/^.*node_modules\//, '') }],
  )
}

/** They ask for their text to be kept, and for nothing of ours. */
const permissive = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']
/** Of tools that we change nothing of and give to nobody. */
const ofTools = [...permissive, 'MPL-2.0', 'Python-2.0']

/** Packages whose licence is none of those, by an SPDX expression without brackets: of `OR` one is enough. */
export function findRefusedLicences(packages: readonly Pick<LockedPackage, 'name' | 'license' | 'dev'>[]): string[] {
  return packages
    .filter(({ license, dev }) => !isAllowed(license, dev === true ? ofTools : permissive))
    .map(({ name, license }) => `${name}: ${license ?? 'no licence'}`)
}

function isAllowed(expression: unknown, allowed: readonly string[]): boolean {
  if (typeof expression !== 'string') return false
  return expression.split(' OR ').some((choice) => choice.split(' AND ').every((id) => allowed.includes(id)))
}

/** A table of what is installed to run, by licence. */
export function describeLicences(packages: readonly LockedPackage[]): string {
  const byLicence = Map.groupBy(
    packages.filter(({ dev }) => dev !== true),
    ({ license }) => license ?? 'none',
  )
  const rows = [...byLicence]
    .map(([licence, found]) => ({ licence, names: [...new Set(found.map(({ name }) => name))].sort() }))
    .sort((a, b) => b.names.length - a.names.length || a.licence.localeCompare(b.licence))
    .map(({ licence, names }) => `| ${licence} | ${names.length} | ${names.join(', ')} |`)
  return ['| licence | packages | which |', '|---|---|---|', ...rows, ''].join('\n')
}

const file = join(root, 'docs', 'dependencies.md')
const table = /^\| licence \|[^]*?\n(?!\|)|^\| licence \|[^]*$/m

export async function readLicencesDocument(): Promise<string | undefined> {
  return table.exec(await readFile(file, 'utf8'))?.[0]
}

export async function writeLicencesDocument(): Promise<string> {
  const text = await readFile(file, 'utf8')
  const described = describeLicences(await readLockedPackages())
  await writeFile(
    file,
    text.replace(table, () => described),
  )
  return file
}
