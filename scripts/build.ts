// `npm run build`: the client library as a package in dist/.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildPackage } from './build-package.ts'

const { name, version, folder, bundle, bundleBytes, verifyPage, verifyPageHash } = await buildPackage(
  fileURLToPath(new URL('../dist', import.meta.url)),
)
const shown = relative(process.cwd(), folder) || '.'
console.log(`${shown}/ holds the package ${name} ${version}: JavaScript for Node 20 and newer, with types.
${shown}/${bundle} is the same for a page, one module of ${Math.round(bundleBytes / 1024)} KiB.
${shown}/${verifyPage} verifies files of the audit log, offline (docs/auditing.md). Its SHA-256:
  ${verifyPageHash}

To use it in a project:
  npm pack ./${shown}                         # makes ${name}-${version}.tgz
  npm install /path/to/${name}-${version}.tgz    # in the project
  import { enrollDevice } from '${name}'

docs/client.md shows the way from there.`)
