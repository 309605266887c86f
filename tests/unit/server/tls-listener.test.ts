import { once } from 'node:events'
import { copyFile, mkdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Logger } from '../../../runtime/logger.ts'
import { fingerprint, followTlsFiles } from '../../../server/follow-tls-files.ts'
import { startListener } from '../../../server/listener.ts'
import { loadTlsCredential } from '../../../server/tls-credential.ts'
import { makeServerCredential, makeTlsFolder, type TestCredential } from '../../support/tls-files.ts'

const groups = 'SecP384r1MLKEM1024:X25519MLKEM768'
const unlimited = { perAddress: 0, isExempt: () => false }

interface TlsService {
  port: number
  certFile: string
  keyFile: string
  look: (isAsked?: boolean) => Promise<void>
  said: string[]
}

async function startTls(credential: TestCredential, wish: { groups?: string } = {}): Promise<TlsService> {
  const files = { ...(await makeTlsFolder(credential)), groups: wish.groups ?? groups }
  const inUse = await fingerprint(files)
  const { context } = await loadTlsCredential(files, Date.now())
  const address = { host: '127.0.0.1', port: 0, variables: { host: 'HOST', port: 'PORT' } }
  const listener = await startListener((_req, res) => void res.end('well'), address, context, unlimited)
  expect(listener.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  const said: string[] = []
  const say = (message: string): void => void said.push(message)
  const logger: Logger = { debug: say, info: say, warn: say, error: say }
  const use = (next: { context: object }): void => listener.setTls(next.context)
  const following = followTlsFiles({ files, use, now: Date.now, logger, inUse })
  onTestFinished(async () => {
    following.close()
    await listener.close()
  })
  return { ...files, port: Number(new URL(listener.url).port), look: following.look, said }
}

async function handshake(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', servername: 'localhost', port, ...options })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

const groupOf = (socket: TLSSocket): unknown => (socket.getEphemeralKeyInfo() as { name?: string }).name
const serialOf = (socket: TLSSocket): string => socket.getPeerCertificate().serialNumber

/** Which of the credentials new connections are shown: only its CA verifies. */
async function shown(port: number, credentials: TestCredential[]): Promise<number[]> {
  const found = credentials.map(async ({ caCertificate }, index) => {
    const socket = await handshake(port, { ca: caCertificate }).catch(() => undefined)
    return socket === undefined ? [] : [index]
  })
  return (await Promise.all(found)).flat()
}

describe('the key exchange', () => {
  test('is ML-KEM-1024 with P-384 for who wants it, ML-KEM-768 with X25519 for others', async () => {
    const credential = makeServerCredential()
    const { port } = await startTls(credential)
    const ca = credential.caCertificate
    const both = await handshake(port, { ca, ecdhCurve: 'SecP384r1MLKEM1024:X25519MLKEM768' })
    expect([both.getProtocol(), groupOf(both)]).toEqual(['TLSv1.3', 'SecP384r1MLKEM1024'])
    expect(groupOf(await handshake(port, { ca }))).toBe('X25519MLKEM768')
  })

  test('of a classical client, or of TLS 1.2, does not take place', async () => {
    const credential = makeServerCredential()
    const { port } = await startTls(credential)
    const ca = credential.caCertificate
    for (const ecdhCurve of ['X25519', 'P-256:P-384:X448']) {
      await expect(handshake(port, { ca, ecdhCurve })).rejects.toThrow(/handshake failure/)
    }
    await expect(handshake(port, { ca, maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/)
    expect(groupOf(await handshake(port, { ca })), 'the next client is served').toBe('X25519MLKEM768')
  })

  test('takes a classical client where the operator says so, and ML-KEM all the same from others', async () => {
    const credential = makeServerCredential()
    const { port } = await startTls(credential, { groups: 'SecP384r1MLKEM1024:X25519MLKEM768/X25519' })
    const ca = credential.caCertificate
    expect(groupOf(await handshake(port, { ca, ecdhCurve: 'X25519' }))).toBe('X25519')
    expect(groupOf(await handshake(port, { ca }))).toBe('X25519MLKEM768')
    expect(groupOf(await handshake(port, { ca, ecdhCurve: 'X25519:X25519MLKEM768' }))).toBe('X25519MLKEM768')
  })
})

test('what is no TLS is closed without an answer, and what is wrong within TLS is answered as a problem', async () => {
  const credential = makeServerCredential()
  const { port } = await startTls(credential)
  const plain = connectPlain(port, '127.0.0.1')
  plain.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  expect(await text(plain)).not.toContain('HTTP/1.1')
  const secure = await handshake(port, { ca: credential.caCertificate })
  secure.write('nonsense\r\n\r\n')
  expect(await text(secure)).toMatch(/^HTTP\/1\.1 400 .*"code":"malformed"/s)
})

describe('a new certificate', () => {
  test('is shown to new connections, and those that are there go on', async () => {
    const [first, second] = [makeServerCredential(), makeServerCredential()]
    const { port, certFile, keyFile, look, said } = await startTls(first)
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: first.caCertificate })
    onTestFinished(() => agent.destroy())
    const ask = async (): Promise<[serial: string, isReused: boolean]> => {
      const request = get({ host: '127.0.0.1', servername: 'localhost', port, agent })
      const [answer] = await once(request, 'response')
      expect(await text(answer)).toBe('well')
      return [serialOf(request.socket as TLSSocket), request.reusedSocket]
    }
    const [serial] = await ask()
    await writeFile(certFile, second.certificate)
    await writeFile(keyFile, second.privateKey)
    await look()
    expect(said).toEqual([expect.stringMatching(/^the TLS certificate was loaded; it expires at 20/)])
    expect(await ask()).toEqual([serial, true])
    expect(await shown(port, [first, second])).toEqual([1])
    await look()
    expect(said, 'what has not changed is not loaded again').toHaveLength(1)
  })

  test('is found when its files are renamed into place, and when a link to their folder is', async () => {
    const credentials = [makeServerCredential(), makeServerCredential(), makeServerCredential()]
    const [first, second, third] = credentials as [TestCredential, TestCredential, TestCredential]
    const { port, certFile, keyFile, look } = await startTls(first)
    for (const [path, content] of [
      [certFile, second.certificate],
      [keyFile, second.privateKey],
    ] as const) {
      await writeFile(`${path}.new`, content)
      await rename(`${path}.new`, path)
    }
    await look()
    expect(await shown(port, credentials)).toEqual([1])

    // As Kubernetes mounts a secret: the files are links through a link that is replaced.
    const folder = dirname(certFile)
    for (const [name, { certificate, privateKey }] of [
      ['old', second],
      ['new', third],
    ] as const) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, 'tls.crt'), certificate)
      await writeFile(join(folder, name, 'tls.key'), privateKey)
    }
    await symlink('old', join(folder, 'data'))
    for (const path of [certFile, keyFile]) {
      await unlink(path)
      await symlink(join('data', path === certFile ? 'tls.crt' : 'tls.key'), path)
    }
    await look()
    expect(await shown(port, credentials)).toEqual([1])
    await symlink('new', join(folder, 'data-next'))
    await rename(join(folder, 'data-next'), join(folder, 'data'))
    await look()
    expect(await shown(port, credentials)).toEqual([2])
  })

  test('whose key is not there yet waits for it: the old one is shown, and the log says why, once', async () => {
    const [first, second] = [makeServerCredential(), makeServerCredential()]
    const { port, certFile, keyFile, look, said } = await startTls(first)
    await writeFile(certFile, second.certificate)
    for (let i = 0; i < 3; i++) await look()
    expect(said).toEqual([
      expect.stringMatching(/stays as it was, and is tried again: QFLARE_TLS_KEY_FILE: .*not the key/),
    ])
    expect(await shown(port, [first, second])).toEqual([0])
    await writeFile(keyFile, second.privateKey)
    await look()
    expect(await shown(port, [first, second])).toEqual([1])
  })

  test('that is broken, expired or gone leaves the old one in place, and is taken when it is mended', async () => {
    const [first, second] = [makeServerCredential(), makeServerCredential()]
    const expired = makeServerCredential(new Date(Date.now() - 3 * 86_400_000))
    const { port, certFile, keyFile, look, said } = await startTls(first)
    await copyFile(keyFile, `${keyFile}.kept`)
    await writeFile(certFile, 'nonsense')
    await look()
    await writeFile(certFile, expired.certificate)
    await writeFile(keyFile, expired.privateKey)
    await look()
    await rm(certFile)
    await look()
    expect(said.map((line) => /no PEM certificate|expired at|ENOENT/.exec(line)?.[0])).toEqual([
      'no PEM certificate',
      'expired at',
      'ENOENT',
    ])
    expect(await shown(port, [first, second, expired])).toEqual([0])
    await writeFile(certFile, second.certificate)
    await writeFile(keyFile, second.privateKey)
    await look()
    expect(await shown(port, [first, second, expired])).toEqual([1])
    // Back to the first, whose certificate was in use before.
    await writeFile(certFile, first.certificate)
    await rename(`${keyFile}.kept`, keyFile)
    await look()
    expect(await shown(port, [first, second, expired])).toEqual([0])
  })

  test('is looked for on SIGHUP at once, and what is wrong is said each time it is asked for', async () => {
    const [first, second] = [makeServerCredential(), makeServerCredential()]
    const { port, certFile, keyFile, said } = await startTls(first)
    await writeFile(certFile, second.certificate)
    process.kill(process.pid, 'SIGHUP')
    await expect.poll(() => said.length, { timeout: 10_000 }).toBe(1)
    process.kill(process.pid, 'SIGHUP')
    await expect.poll(() => said.length, { timeout: 10_000 }).toBe(2)
    expect(said[1]).toBe(said[0])
    await writeFile(keyFile, second.privateKey)
    process.kill(process.pid, 'SIGHUP')
    await expect.poll(() => said.length, { timeout: 10_000 }).toBe(3)
    expect(await shown(port, [first, second])).toEqual([1])
  })
})
