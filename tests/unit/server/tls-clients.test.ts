import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import type { Logger } from '../../../runtime/logger.ts'
import { fingerprint, followTlsFiles } from '../../../server/follow-tls-files.ts'
import { startListener } from '../../../server/listener.ts'
import { loadTlsCredential } from '../../../server/tls-credential.ts'
import { makeTlsFolder, makeTlsPair, type TestCredential } from '../../support/tls-files.ts'

const groups = 'SecP384r1MLKEM1024:X25519MLKEM768'

interface TlsService {
  clientCaFile: string
  look(): Promise<void>
  said: string[]
  /** What the server answers who shows this certificate, or why it does not. */
  ask(client?: Partial<TestCredential>, options?: ConnectionOptions): Promise<string>
  open(options: ConnectionOptions): TLSSocket
}

async function start(server: TestCredential, authorities: string): Promise<TlsService> {
  const folder = await makeTlsFolder(server)
  const files = { ...folder, groups, clientCaFile: `${folder.caFile}.clients` }
  await writeFile(files.clientCaFile, authorities)
  const inUse = await fingerprint(files)
  const { context } = await loadTlsCredential(files, Date.now())
  const address = { host: '127.0.0.1', port: 0, variables: { host: 'HOST', port: 'PORT' } }
  const unlimited = { perAddress: 0, isExempt: () => false }
  const listener = await startListener((_req, res) => void res.end('well'), address, context, unlimited)
  const said: string[] = []
  const say = (message: string): void => void said.push(message)
  const logger: Logger = { debug: say, info: say, warn: say, error: say }
  const use = (next: { context: object }): void => listener.setTls(next.context)
  const following = followTlsFiles({ files, use, now: Date.now, logger, inUse })
  onTestFinished(async () => {
    following.close()
    await listener.close()
  })

  function open(options: ConnectionOptions): TLSSocket {
    const port = Number(new URL(listener.url).port)
    const socket = connect({ host: '127.0.0.1', servername: 'localhost', port, ca: server.caCertificate, ...options })
    onTestFinished(() => void socket.destroy())
    return socket
  }
  return {
    clientCaFile: files.clientCaFile,
    look: following.look,
    said,
    open,
    async ask(client = {}, options = {}) {
      const socket = open({ cert: client.certificate, key: client.privateKey, ...options })
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      return answerOf(socket)
    },
  }
}

/** Of a certificate that it does not take Node tells the client nothing: it ends the connection. */
async function answerOf(socket: TLSSocket): Promise<string> {
  const closed = once(socket, 'close').then(() => ['nothing: closed'])
  try {
    const [answer] = await Promise.race([once(socket, 'data'), closed])
    return String(answer).replace(/^HTTP\/1\.1 (\d+) [\s\S]*/, '$1')
  } catch (error) {
    return (error as Error).message
  }
}

test('only who shows a certificate of the authorities is answered', async () => {
  const [pair, other] = [makeTlsPair(), makeTlsPair()]
  const service = await start(pair.server, pair.client.caCertificate)
  expect(await service.ask(pair.client)).toBe('200')
  expect(await service.ask()).toMatch(/certificate required/)
  expect(await service.ask(other.client), 'of another authority').toBe('nothing: closed')
})

test('a certificate for servers is none for clients, though the authority is known', async () => {
  const pair = makeTlsPair()
  const service = await start(pair.server, pair.client.caCertificate + pair.server.caCertificate)
  expect(await service.ask(pair.client)).toBe('200')
  expect(await service.ask(pair.server)).toBe('nothing: closed')
})

test('a client certificate that has expired is refused', async () => {
  const pair = makeTlsPair()
  const old = makeTlsPair(new Date(Date.now() - 3 * 86_400_000)).client
  const service = await start(pair.server, pair.client.caCertificate + old.caCertificate)
  expect(await service.ask(old)).toBe('nothing: closed')
})

test('an authority that is taken away is refused from the next look on, also to who comes back with a ticket', async () => {
  const [pair, next] = [makeTlsPair(), makeTlsPair()]
  const service = await start(pair.server, pair.client.caCertificate)
  const shown = { cert: pair.client.certificate, key: pair.client.privateKey }
  const held = service.open(shown)
  const [session] = (await once(held, 'session')) as [Buffer]
  const resumed = service.open({ ...shown, session })
  await once(resumed, 'secureConnect')
  expect(resumed.isSessionReused(), 'tickets are given, so that this test means something').toBe(true)

  await writeFile(service.clientCaFile, next.client.caCertificate)
  await service.look()
  expect(await service.ask(next.client)).toBe('200')
  expect(await service.ask(pair.client)).toBe('nothing: closed')
  expect(await service.ask(pair.client, { session })).toBe('nothing: closed')
  expect(await service.ask({}, { session })).toMatch(/certificate required/)
  held.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  expect(await answerOf(held), 'a connection that is there goes on').toBe('200')
})

test('a file of authorities that cannot be used leaves the ones in use: nobody gets in by it', async () => {
  const pair = makeTlsPair()
  const service = await start(pair.server, pair.client.caCertificate)
  for (const [text, reason] of [
    ['', /holds no PEM certificate/],
    [pair.client.certificate, /a certificate of no authority/],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /holds what is no certificate/],
    [undefined, /cannot be read \(ENOENT\)/],
  ] as const) {
    if (text === undefined) await rm(service.clientCaFile)
    else await writeFile(service.clientCaFile, text)
    await service.look()
    expect(service.said.at(-1)).toMatch(/stays as it was.*QFLARE_TLS_CLIENT_CA_FILE: /)
    expect(service.said.at(-1)).toMatch(reason)
    expect(await service.ask(pair.client)).toBe('200')
    expect(await service.ask()).toMatch(/certificate required/)
  }
})
