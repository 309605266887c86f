import { execFile, spawn } from 'node:child_process'
import { createDecipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createFileStore } from '../../client/file-store.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { parseRoundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { buildPackage } from '../../scripts/build-package.ts'
import { createToken } from '../support/api.ts'
import { installPackage, type Project, root, systemNode } from '../support/built-package.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeServerCredential } from '../support/tls-files.ts'

const run = promisify(execFile)
let service: TestService
let project: Project

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  project = await installPackage()
})
afterAll(async () => {
  await service?.close()
  await project?.remove()
})

async function fingerprintAtServer(said: { sessionId: string; epoch: number }): Promise<string> {
  const key = await service.deriveKey({ ...said, purpose: 'encryption' })
  return createHash('sha3-256').update(key).digest('hex').slice(0, 32)
}

/** Runs a program with text on its standard input. */
async function pipe(command: string, args: string[], options: { cwd: string; input: string }): Promise<string> {
  const running = run(command, args, { cwd: options.cwd })
  running.child.stdin?.end(options.input)
  return (await running).stdout
}

describe('the built package', () => {
  test.skipIf(systemNode === undefined)(
    'enrols, exchanges and derives the server’s key on the machine’s own Node',
    async () => {
      await cp(join(root, 'client/examples/node20.mjs'), join(project.folder, 'node20.mjs'))
      const { token } = await createToken(service)
      const args = ['node20.mjs', service.url, 'edge-1.json']
      const said = JSON.parse(await pipe(systemNode as string, args, { cwd: project.folder, input: token }))
      expect(said.fingerprint).toBe(await fingerprintAtServer(said))
      expect(Number(said.node.slice(1).split('.')[0])).toBeGreaterThanOrEqual(20)
    },
  )

  test.skipIf(systemNode === undefined)('says there in one line what TLS lacks', async () => {
    const { certificate, privateKey } = makeServerCredential()
    const tls = createServer({ cert: certificate, key: privateKey, ecdhCurve: 'X25519MLKEM768', minVersion: 'TLSv1.3' })
    await new Promise<void>((done) => tls.listen(0, '127.0.0.1', done))
    onTestFinished(() => void tls.close())
    await cp(join(root, 'client/examples/node20.mjs'), join(project.folder, 'node20.mjs'))
    const { token } = await createToken(service)
    const args = ['node20.mjs', `https://localhost:${(tls.address() as AddressInfo).port}`, 'edge-2.json']
    const { stderr } = await pipe(systemNode as string, args, { cwd: project.folder, input: token }).catch((e) => e)
    expect(stderr).toMatch(/QflareError: No TLS with https:\/\/localhost:\d+: [^\n]+ \([A-Z0-9_]+\)\.\n/)
    expect(stderr).toContain("code: 'tls_failed'")
  })

  test.skipIf(systemNode === undefined)(
    'has entries for what a device attests with, which need nothing that is not installed with it',
    async () => {
      const names = `const entries = await Promise.all(['tpm', 'confidential'].map((name) => import('qflare/' + name)))
        console.log(JSON.stringify(entries.map((entry) => Object.keys(entry).sort())))`
      await writeFile(join(project.folder, 'entries.mjs'), names)
      const { stdout } = await run(systemNode as string, ['entries.mjs'], { cwd: project.folder })
      expect(JSON.parse(stdout)).toEqual([
        ['createSealedFileStore', 'openAttesters', 'openTpmAttester'],
        ['openAttesters', 'openConfidentialAttester'],
      ])
    },
  )

  test('has the same bytes each time, and brings nothing that it does not need', async () => {
    const again = await mkdtemp(join(tmpdir(), 'qflare-built-'))
    try {
      await buildPackage(again)
      const files = (await readdir(again, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(again.length + 1))
      expect(files.length).toBeGreaterThan(50)
      for (const file of files) {
        const bytes = await readFile(join(again, file))
        expect(bytes.equals(await readFile(join(project.built.folder, file))), file).toBe(true)
        expect(bytes.includes(root.slice(0, -1)), `${file} names no path of this machine`).toBe(false)
      }
      expect(files.filter((file) => /command|operator|examples|\.ts$/.test(file) && !file.endsWith('.d.ts'))).toEqual(
        [],
      )
    } finally {
      await rm(again, { recursive: true })
    }
  })

  test('can be read by everybody, also when it is built by someone who shares nothing', async () => {
    const again = await mkdtemp(join(tmpdir(), 'qflare-built-'))
    try {
      const program = `import { buildPackage } from ${JSON.stringify(join(root, 'scripts/build-package.ts'))}
        await buildPackage(${JSON.stringify(join(again, 'own'))})`
      const command = 'umask 077; exec "$0" --input-type=module -e "$1"'
      await run('sh', ['-c', command, process.execPath, program])
      const { stdout } = await run('find', [join(again, 'own'), '-printf', '%y %m\\n'])
      expect(new Set(stdout.trimEnd().split('\n'))).toEqual(new Set(['d 755', 'f 644']))
    } finally {
      await rm(again, { recursive: true })
    }
  })

  test('for browsers is one module that imports nothing', async () => {
    const code = await readFile(join(project.built.folder, project.built.bundle), 'utf8')
    expect(code).not.toMatch(/["'`]node:|require\(|\bprocess\.|\bimport\s*[({*"']|\bBuffer\b/)
    expect(code).toMatch(/export\s*\{/)
    expect(project.built.bundleBytes).toBeLessThan(256 * 1024)
  })
})

describe('a strict TypeScript project', () => {
  test.each([
    ['nodenext', 'qflare', { module: 'nodenext', types: ['node'], lib: ['es2024'] }],
    ['bundler', 'qflare', { module: 'esnext', moduleResolution: 'bundler', types: ['node'], lib: ['es2024'] }],
    ['bundler', 'qflare/browser', { module: 'esnext', moduleResolution: 'bundler', types: [], lib: ['es2024', 'dom'] }],
  ])('with %s resolution takes the types of %s, its libraries checked too', async (_resolution, name, options) => {
    await checkTypes({ 'own.ts': ownFile(name) }, options)
  })

  test.each([
    ['docs/client.md', 8],
    ['docs/auditing.md', 2],
  ])('can follow %s to the letter: every TypeScript block of it compiles', async (document, least) => {
    const text = await readFile(join(root, document), 'utf8')
    const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code)
    expect(blocks.length).toBeGreaterThanOrEqual(least)
    // What a block leaves out stands in those before it.
    const given = `import type { DeviceState, ExportVerifier, QflareDevice } from 'qflare'
      declare global { const device: QflareDevice; const token: string; const url: string; const state: DeviceState }
      declare global { const file: File; const vkeys: string[]; const verifier: ExportVerifier; const apiToken: string }
      declare global { const federationId: string; const rootPin: string; const key: Uint8Array; const aggregateHash: Uint8Array }
      declare global { const coordinator: QflareDevice }
      declare global { function readToken(binding: Uint8Array): Promise<Uint8Array> }\n`
    const files = blocks.map((code, index) => [`block-${index}.ts`, `${code}\nexport {}\n`])
    await checkTypes(
      { ...Object.fromEntries(files), 'given.d.ts': given },
      { module: 'nodenext', types: ['node'], lib: ['es2024', 'dom'], noUnusedLocals: false, skipLibCheck: true },
    )
  })
})

async function checkTypes(files: Record<string, string>, compilerOptions: object): Promise<void> {
  const folder = await mkdtemp(join(project.folder, 'types-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const strict = {
    target: 'es2024',
    strict: true,
    noEmit: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...strict, ...compilerOptions } }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const result = await run(process.execPath, [tsc, '--project', folder], { cwd: folder }).catch((error) => error)
  expect(result.stdout).toBe('')
}

/** Uses what is exported as its types say, and misuses it where the compiler must object. */
function ownFile(name: string): string {
  const isBrowser = name.endsWith('browser')
  const create = isBrowser ? "createIndexedDbStore('edge-1')" : "createFileStore('edge-1.json')"
  return `import { ${create.split('(')[0]}, enrollDevice, isAlarm, openDevice, ProtocolError, QflareError, type DeviceKey, type DeviceStore } from '${name}'
const store: DeviceStore = ${create}
const device = await enrollDevice({ url: 'https://trust.example', token: 'a.b.c', name: 'edge-1', store, signal: AbortSignal.timeout(1000) })
const { key, epoch }: DeviceKey = await device.key('round', { context: new Uint8Array(1), epoch: 3 })
const bytes: number = key.length + epoch
await crypto.subtle.importKey('raw', key.subarray(0, 32), 'AES-GCM', false, ['encrypt'])
const again = await openDevice({ store, wait: (ms, signal) => new Promise((done) => { signal?.throwIfAborted(); setTimeout(done, ms) }) })
await again.keepFresh({ signal: AbortSignal.timeout(bytes), onError(error, retryInMs) {
  if (isAlarm(error)) error.code.toUpperCase()
  else if (error instanceof QflareError) error.retryAfterSeconds?.toFixed()
  else if (error instanceof ProtocolError) error.code.toUpperCase()
  retryInMs.toFixed()
} })
// @ts-expect-error -- no such purpose
await device.key('decoration')
// @ts-expect-error -- a loop that cannot be ended
await device.keepFresh({})
`
}

test('the example of an edge node enrols, encrypts under the server’s key, and opens its device again', async () => {
  const { token } = await createToken(service)
  const program = join(root, 'client/examples/edge-node.ts')
  const start = async (input: string, lineCount: number) => {
    const child = spawn(process.execPath, [program, service.url, 'edge-node.json'], { cwd: project.folder })
    child.stdin.end(input)
    const lines: Record<string, string & number>[] = []
    for await (const line of createInterface(child.stdout)) if (lines.push(JSON.parse(line)) === lineCount) break
    child.kill('SIGTERM')
    const [exitCode] = await once(child, 'close')
    return { exitCode, lines }
  }
  const { exitCode, lines } = await start(`${token}\n`, 2)
  expect(exitCode).toBe(0)
  const { sessionId = '', epoch = 0, iv = '', ciphertext = '' } = lines[1] ?? {}
  const key = await service.deriveKey({ sessionId, epoch, purpose: 'encryption' })
  const sealed = Buffer.from(ciphertext, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', key.subarray(0, 32), Buffer.from(iv, 'base64'))
    .setAAD(Buffer.from(JSON.stringify([sessionId, epoch])))
    .setAuthTag(sealed.subarray(-16))
  expect(Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]).toString()).toBe(
    'gradients of round 7',
  )
  const again = await start('', 1)
  expect(again).toMatchObject({ exitCode: 0, lines: [{ deviceId: lines[0]?.deviceId, session: { sessionId } }] })
})

test('the example of a coordinator runs a round, and its certificate verifies', async () => {
  const [{ token, pin }, { token: ofDevice }] = [
    await createToken(service, { kind: 'coordinator' }),
    await createToken(service),
  ]
  const device = await enrollDevice({ url: service.url, token: ofDevice, name: 'edge', store: createMemoryStore() })
  const { deviceId } = await device.exchange()
  const store = createFileStore(join(project.folder, 'coordinator.json'))
  const coordinator = await enrollDevice({ url: service.url, token, name: 'c', kind: 'coordinator', store })
  await coordinator.exchange()
  const { id } = await coordinator.federations().createFederation({ name: 'north', policy: 'development' })
  await coordinator.federations().addMember(id, deviceId)
  const program = join(root, 'client/examples/coordinator.ts')
  const stdout = await pipe(process.execPath, [program, service.url, 'coordinator.json', id], {
    cwd: project.folder,
    input: '',
  })
  expect(JSON.parse(stdout)).toEqual({ round: 1, state: 'CLOSED', participants: [deviceId] })
  const file = parseRoundCertificateFile(await readFile(join(project.folder, 'round-1.json'), 'utf8'))
  const { certificate } = verifyRoundCertificate(crypto, file, { rootPin: pin, requireProof: true })
  expect(certificate.participants.map((participant) => participant.deviceId)).toEqual([deviceId])
})
