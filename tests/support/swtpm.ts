import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const programs = ['swtpm', 'swtpm_setup', 'swtpm_localca', 'certtool', 'tpm2']

/** What a test with a TPM lacks on this machine. In CI it lacks nothing: a test that is skipped there proves nothing. */
export function whyNoTpm(): string | undefined {
  if (process.env['CI'] === 'true') return undefined
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const missing = programs.filter((program) => !folders.some((folder) => existsSync(join(folder, program))))
  return missing.length === 0 ? undefined : `this machine has no ${missing.join(', ')} (swtpm, swtpm-tools, tpm2-tools)`
}

/** A certification authority of EKs: of a test's own, made by the first TPM that it certifies. */
export interface TestTpmCa {
  folder: string
  /** DER. `root` signed itself and `intermediate`, which signed the EK certificates. */
  certificates(): Promise<{ root: Uint8Array; intermediate: Uint8Array }>
  remove(): Promise<void>
}

export async function makeTestTpmCa(): Promise<TestTpmCa> {
  const folder = await mkdtemp(join(tmpdir(), 'qtpmca-'))
  const settings = {
    statedir: folder,
    signingkey: 'signkey.pem',
    issuercert: 'issuercert.pem',
    certserial: 'certserial',
  }
  const lines = Object.entries(settings).map(
    ([name, file]) => `${name} = ${file === folder ? file : join(folder, file)}`,
  )
  await writeFile(join(folder, 'localca.conf'), `${lines.join('\n')}\n`)
  await writeFile(join(folder, 'localca.options'), '')
  const read = async (file: string) => new Uint8Array(new X509Certificate(await readFile(join(folder, file))).raw)
  return {
    folder,
    certificates: async () => ({
      root: await read('swtpm-localca-rootca-cert.pem'),
      intermediate: await read('issuercert.pem'),
    }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

export interface TestTpmOptions {
  /** Default: one of its own, which goes with the TPM. */
  ca?: TestTpmCa | undefined
  banks?: readonly string[] | undefined
}

export interface TestTpm {
  /** For `TPM2TOOLS_TCTI`, and for `tpm2 -T`. */
  tcti: string
  folder: string
  /** DER, as in `TestTpmCa`. */
  anchors: { root: Uint8Array; intermediate: Uint8Array }
  /** DER, as in NV 0x01c00002 (RSA-2048), 0x01c0000a (P-256) and 0x01c00016 (P-384). */
  ekCertificates: { rsa: Uint8Array; p256: Uint8Array; p384: Uint8Array }
  /** One of the tpm2-tools on it, in `folder`: `run('pcrread', 'sha256:0')`. What it prints. */
  run(tool: string, ...args: string[]): Promise<string>
  /** Extends one PCR of the SHA-256 and SHA-384 banks by the hash of a text. */
  extendPcr(index: number, text: string): Promise<void>
  /** Power off and on: PCRs are as at first, what is not persistent is gone. `unclean`: without the shutdown that an OS does. */
  reboot(how?: { unclean: boolean }): Promise<void>
  /** Nothing answers, until `turnOn`. */
  turnOff(): Promise<void>
  turnOn(): Promise<void>
  /** Of the process; nothing answers after it. */
  stop(): Promise<void>
}

/** A TPM of its own: swtpm on sockets in a folder, with EKs and their certificates as a manufacturer leaves them. No resource manager. */
export async function startTestTpm(options: TestTpmOptions = {}): Promise<TestTpm> {
  // Paths of sockets have 108 bytes at most.
  const folder = await mkdtemp(join(tmpdir(), 'qtpm-'))
  const ca = options.ca ?? (await makeTestTpmCa())
  const { banks = ['sha256', 'sha384'] } = options
  await manufacture(folder, ca, banks)
  let child = await powerOn(folder)
  const socket = join(folder, 'tpm')
  const tcti = `swtpm:path=${socket}`

  async function run(tool: string, ...args: string[]): Promise<string> {
    const env = { PATH: process.env['PATH'] ?? '', TPM2TOOLS_TCTI: tcti, TSS2_LOG: 'all+NONE' }
    const { stdout } = await execute('tpm2', [tool, ...args], { cwd: folder, env, timeout: 20_000 })
    return stdout
  }
  const tpm = { tcti, folder, anchors: await ca.certificates(), run }
  const p256 = await certifyP256(tpm, ca)
  const read = async (name: string) => new Uint8Array(await readFile(join(folder, name)))
  return {
    ...tpm,
    ekCertificates: { rsa: await read('ek-rsa2048.crt'), p256, p384: await read('ek-secp384r1.crt') },
    async extendPcr(index, text) {
      await writeFile(join(folder, 'event'), text)
      await run('pcrevent', String(index), 'event')
    },
    async reboot({ unclean } = { unclean: false }) {
      if (!unclean) await run('shutdown', '--clear')
      await powerOff(child)
      child = await powerOn(folder)
    },
    turnOff: () => powerOff(child),
    async turnOn() {
      child = await powerOn(folder)
    },
    async stop() {
      await powerOff(child)
      await rm(folder, { recursive: true, force: true })
      if (options.ca === undefined) await ca.remove()
    },
  }
}

async function manufacture(folder: string, ca: TestTpmCa, banks: readonly string[]): Promise<void> {
  await mkdir(join(folder, 'state'))
  const settings = {
    create_certs_tool: await pathOf('swtpm_localca'),
    create_certs_tool_config: join(ca.folder, 'localca.conf'),
    create_certs_tool_options: join(ca.folder, 'localca.options'),
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  await writeFile(join(folder, 'setup.conf'), `${lines.join('\n')}\n`)
  const where = ['--tpm-state', join(folder, 'state'), '--config', join(folder, 'setup.conf')]
  const certificates = ['--create-ek-cert', '--write-ek-cert-files', folder]
  await execute('swtpm_setup', ['--tpm2', ...where, ...certificates, '--pcr-banks', banks.join(',')], { cwd: folder })
}

async function pathOf(program: string): Promise<string> {
  const folder = (process.env['PATH'] ?? '').split(delimiter).find((folder) => existsSync(join(folder, program)))
  if (folder === undefined) throw new Error(`${program} is not in the PATH`)
  return join(folder, program)
}

/** swtpm_setup certifies RSA-2048 and P-384; the P-256 EK of the low range is certified here, by the same authority. */
async function certifyP256({ folder, run }: Pick<TestTpm, 'folder' | 'run'>, ca: TestTpmCa): Promise<Uint8Array> {
  await run('createek', '-G', 'ecc', '-c', 'ek-p256.ctx', '-u', 'ek-p256.der', '-f', 'der')
  await run('flushcontext', '-t')
  const point = (await readFile(join(folder, 'ek-p256.der'))).subarray(-64).toString('hex')
  const key = `x=${point.slice(0, 64)},y=${point.slice(64)},id=secp256r1`
  const spec = ['--tpm-spec-family', '2.0', '--tpm-spec-level', '0', '--tpm-spec-revision', '164']
  const model = ['--tpm-manufacturer', 'id:00001014', '--tpm-model', 'swtpm', '--tpm-version', 'id:20191023', '--tpm2']
  const files = ['--configfile', join(ca.folder, 'localca.conf'), '--optsfile', join(ca.folder, 'localca.options')]
  await execute('swtpm_localca', ['--type', 'ek', '--ek', key, '--dir', folder, ...spec, ...model, ...files])
  const certificate = new Uint8Array(await readFile(join(folder, 'ek.cert')))
  await run(
    'nvdefine',
    '0x1c0000a',
    '-C',
    'p',
    '-s',
    String(certificate.length),
    '-a',
    'ppwrite|ppread|ownerread|authread|no_da|platformcreate',
  )
  await run('nvwrite', '0x1c0000a', '-C', 'p', '-i', 'ek.cert')
  return certificate
}

async function powerOn(folder: string): Promise<ChildProcess> {
  const socket = join(folder, 'tpm')
  const sockets = ['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`]
  const child = spawn(
    'swtpm',
    [
      'socket',
      '--tpm2',
      '--tpmstate',
      `dir=${join(folder, 'state')}`,
      ...sockets,
      '--flags',
      'not-need-init,startup-clear',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let output = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    output = `${output}${chunk.toString()}`.slice(-500)
  })
  for (;;) {
    if (child.exitCode !== null) throw new Error(`swtpm ended with ${child.exitCode}: ${output}`)
    if (await answers(socket)) return child
    await pause(10)
  }
}

async function powerOff(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await gone
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket)
    connection.once('error', () => resolve(false))
    connection.once('connect', () => {
      connection.destroy()
      resolve(true)
    })
  })
}
