import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeLicencesDocument } from './licences.ts'
import { makeSbom } from './make-sbom.ts'

// `npm run sbom`: the bill of materials of this checkout, and the table of licences in docs/dependencies.md.
const folder = join(import.meta.dirname, '..', 'dist')
const file = join(folder, 'sbom.cdx.json')
await mkdir(folder, { recursive: true })
await writeFile(file, `${JSON.stringify(await makeSbom(), null, 2)}\n`)
console.log(`Written: ${file}`)
console.log(`Written: ${await writeLicencesDocument()}`)
