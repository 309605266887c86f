import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')

/** Of CycloneDX 1.5 (JSON), what we look at. */
export interface Sbom {
  bomFormat: string
  specVersion: string
  metadata: { component: { name: string; type: string; version: string; purl: string } }
  components: {
    'bom-ref': string
    name: string
    version: string
    purl: string
    hashes?: { alg: string; content: string }[]
    licenses?: ({ license: { id?: string; name?: string } } | { expression: string })[]
    properties?: { name: string; value: string }[]
  }[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

/**
 * What package-lock.json names, with hashes and licences, for every platform; what is there to build and test alone has the property
 * `cdx:npm:package:development`. Of npm's making, but for its name for us, which is that of the folder.
 */
export async function makeSbom(): Promise<Sbom> {
  const npm = process.env['npm_execpath']
  const [program, ...before] = npm === undefined ? ['npm'] : [process.execPath, npm]
  const args = [...before, 'sbom', '--sbom-format=cyclonedx', '--package-lock-only']
  const { stdout } = await run(program as string, args, { cwd: root, maxBuffer: 64 * 1024 * 1024 })
  const sbom = JSON.parse(stdout) as Sbom
  const { name } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { name: string }
  Object.assign(sbom.metadata.component, { name, type: 'application' })
  return sbom
}
