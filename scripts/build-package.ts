import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import { buildVerifyPage } from './build-verify-page.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What the client and the protocol import; everything else of package.json is the service's. */
const dependencies = ['@noble/ciphers', '@noble/hashes', '@noble/post-quantum', 'zod']
/** What stands in the page that verifies, and in the bundle: the dependencies, and theirs. */
const bundledInPage = ['@noble/ciphers', '@noble/hashes', '@noble/post-quantum', '@noble/curves']
const bundled = ['zod', ...bundledInPage]

export interface BuiltPackage {
  name: string
  version: string
  folder: string
  /** The module for browsers, from `folder`. */
  bundle: string
  bundleBytes: number
  /** The page with which an auditor verifies files, from `folder`, and its SHA-256 in hexadecimal. */
  verifyPage: string
  verifyPageHash: string
}

/**
 * The client library as an npm package in `folder`, which is emptied first: JavaScript and types compiled by `tsc`, and one
 * module for browsers without imports, and the page that verifies. The same sources give the same bytes and modes. Throws what the compiler said.
 */
export async function buildPackage(folder: string): Promise<BuiltPackage> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await compile(folder)
  const manifest = await writeManifest(folder)
  await cp(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  await cp(join(root, 'client', 'package-readme.md'), join(folder, 'README.md'))
  // Where `qflare anchors` finds it, as in a checkout.
  await cp(join(root, 'deploy', 'anchors'), join(folder, 'deploy', 'anchors'), { recursive: true })
  const bundle = 'browser/qflare.js'
  const bundleBytes = await bundleForBrowsers(join(folder, 'client', 'browser.js'), join(folder, bundle))
  await writeFile(join(folder, 'browser', 'LICENSES.txt'), await licenses('qflare.js', bundled))
  const verifyPage = 'browser/verify-audit-log.html'
  const verifyPageHash = await buildVerifyPage(root, join(folder, verifyPage), {
    version: manifest.version,
    licenses: `${await readFile(join(root, 'LICENSE'), 'utf8')}\n---\n\n${await licenses('This page', bundledInPage)}`,
  })
  await setModes(folder)
  return { ...manifest, folder, bundle, bundleBytes, verifyPage, verifyPageHash }
}

/** For everybody to read, whatever the umask is here: npm packs the modes, and who installs as root runs as another. */
async function setModes(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
  }
}

async function compile(folder: string): Promise<void> {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, 'scripts', 'tsconfig.build.json')
  try {
    await promisify(execFile)(process.execPath, [tsc, '--project', project, '--outDir', folder], { cwd: root })
  } catch (error) {
    const said = error instanceof Error && 'stdout' in error ? String(error.stdout) : ''
    throw new Error(`The client does not compile.\n${said}`, { cause: error })
  }
}

async function writeManifest(folder: string): Promise<{ name: string; version: string }> {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license: string
    engines: Record<string, string>
    dependencies: Record<string, string>
  }
  const { name, version, license, engines } = own
  const manifest = {
    name,
    version,
    description: 'QFLARE for edge nodes: post-quantum enrolment and key exchange, in Node and in browsers',
    license,
    // The name is not ours in the public registry: `npm publish` would put this under somebody else's.
    private: true,
    type: 'module',
    engines,
    sideEffects: false,
    exports: {
      '.': { types: './client/qflare.d.ts', default: './client/qflare.js' },
      './tpm': { types: './client/tpm.d.ts', default: './client/tpm.js' },
      './confidential': { types: './client/confidential.d.ts', default: './client/confidential.js' },
      './browser': { types: './client/browser.d.ts', default: './browser/qflare.js' },
    },
    // Read by bundlers, and by our own bundle below.
    browser: { './protocol/primitives/native.js': './protocol/primitives/no-native.js' },
    dependencies: Object.fromEntries(dependencies.map((dependency) => [dependency, own.dependencies[dependency]])),
  }
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return { name, version }
}

/** Its size in bytes. Throws when something of Node would be left in it. */
async function bundleForBrowsers(input: string, file: string): Promise<number> {
  const build = await rolldown({
    input,
    platform: 'browser',
    cwd: root,
    // The package may be built outside this repository, where the dependencies are not.
    resolve: { modules: [join(root, 'node_modules')] },
    logLevel: 'silent',
  })
  const { output } = await build.write({ file, format: 'es', minify: true, codeSplitting: false })
  await build.close()
  const [chunk, ...others] = output
  // What was imported dynamically stands in the module and is named as the module itself.
  const imports = [...chunk.imports, ...chunk.dynamicImports].filter((name) => name !== chunk.fileName)
  if (others.length > 0 || imports.length > 0) {
    throw new Error(`The bundle for browsers is not one module: it needs ${imports.join(', ') || 'more files'}.`)
  }
  return Buffer.byteLength(chunk.code)
}

async function licenses(holder: string, packages: readonly string[]): Promise<string> {
  const texts = packages.map(async (name) => {
    const text = await readFile(join(root, 'node_modules', name, 'LICENSE'), 'utf8')
    return `${name}\n\n${text.trim()}\n`
  })
  return `${holder} holds the following packages.\n\n${(await Promise.all(texts)).join('\n---\n\n')}`
}
