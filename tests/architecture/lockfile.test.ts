import { describe, expect, test } from 'vitest'
import { readText } from './repository.ts'

interface Locked {
  version?: string
  /** Where it is fetched from, if not from the registry by its name and version. */
  resolved?: string
  integrity?: string
  hasInstallScript?: boolean
}

interface Manifest {
  allowScripts: Record<string, boolean>
  scarfSettings: { enabled: boolean }
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  optionalDependencies: Record<string, string>
}

const manifest = JSON.parse(readText('package.json')) as Manifest
const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, Locked> }
const locked = Object.entries(packages).filter(([place]) => place !== '')

describe('package-lock.json', () => {
  test('names every package with one version and the SHA-512 of its file, from the registry', () => {
    expect(locked.length).toBeGreaterThan(100)
    const loose = locked.filter(
      ([, { version, resolved, integrity }]) =>
        version === undefined || resolved !== undefined || !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''),
    )
    expect(loose).toEqual([])
  })

  test('has no package that runs something at its installation without a word in package.json', () => {
    const running = locked
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([place]) => nameOf(place))
    expect([...new Set(running)].toSorted()).toEqual(Object.keys(manifest.allowScripts).toSorted())
  })
})

describe('package.json', () => {
  test('names one version of each dependency, and no range or address', () => {
    const { dependencies, devDependencies, optionalDependencies } = manifest
    const versions = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([])
  })

  test('switches off the telemetry that a package would send', () => {
    expect(manifest.scarfSettings.enabled).toBe(false)
    expect(manifest.allowScripts['@scarf/scarf']).toBe(false)
  })
})

/** Of a package, wherever it lies. */
function nameOf(place: string): string {
  return place.split('node_modules/').at(-1) ?? place
}
