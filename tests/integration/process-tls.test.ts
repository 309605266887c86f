import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { call } from '../support/api.ts'
import { runQflare } from '../support/command-suite.ts'
import { expectRefusal } from '../support/refusals.ts'
import {
  makeServiceFolder,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'
import { makeServerCredential, makeTlsFolder, makeTlsPair } from '../support/tls-files.ts'

let folder: string

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

async function expectNoStart(service: ServiceProcess, message: RegExp): Promise<void> {
  expect(await service.ended()).toBe(1)
  expect(service.output.stderr).toMatch(message)
  expect(service.output.stderr, 'no stack for a person to read').not.toMatch(/\n\s+at /)
}

async function operatorUrl(service: ServiceProcess): Promise<string> {
  await service.said(/health and metrics at http:/)
  return /health and metrics at (http:[^"]+)"/.exec(service.output.stdout)?.[1] as string
}

async function handshake(url: string, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', servername: 'localhost', port: Number(new URL(url).port), ...options })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** The status line of an answer, or why there is none: in TLS 1.3 a client hears of a refused certificate when it reads. */
async function ask(url: string, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', servername: 'localhost', port: Number(new URL(url).port), ...options })
  onTestFinished(() => void socket.destroy())
  socket.write('GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  const closed = once(socket, 'close').then(() => ['nothing'])
  try {
    const [answer] = await Promise.race([once(socket, 'data'), closed])
    return String(answer).split('\r\n')[0] as string
  } catch (error) {
    return (error as Error).message
  }
}

const tlsEnv = ({ certFile, keyFile }: { certFile: string; keyFile: string }) => ({
  QFLARE_TLS_CERT_FILE: certFile,
  QFLARE_TLS_KEY_FILE: keyFile,
})

describe('the service over TLS', () => {
  test('listens beyond loopback, and the command enrols and exchanges with it by its CA', async () => {
    const credential = makeServerCredential()
    const files = await makeTlsFolder(credential)
    const service = spawnService(folder, { ...tlsEnv(files), HOST: '0.0.0.0', QFLARE_OPERATOR_PORT: '0' })
    const ready = await service.ready()
    expect(ready).toMatch(/^https:\/\/0\.0\.0\.0:\d+$/)
    const url = ready.replace('0.0.0.0', 'localhost')
    const operator = { url: await operatorUrl(service) }

    const env = { QFLARE_URL: url, QFLARE_DATA_DIR: folder, QFLARE_STATE: join(folder, 'device.json') }
    const qflare = (args: string, stdin = '', more: Record<string, string> = { NODE_EXTRA_CA_CERTS: files.caFile }) =>
      runQflare(args.split(' '), { folder, env: { ...env, ...more }, stdin })
    expect(await qflare('token create', '', {}), 'without the CA').toMatchObject({ exitCode: 3 })
    const token = await qflare('token create')
    expect(token).toMatchObject({ exitCode: 0 })
    expect(await qflare('enroll --name edge-1', token.stdout)).toMatchObject({ exitCode: 0 })
    expect(await qflare('exchange')).toMatchObject({ exitCode: 0 })

    const { body } = await call(operator, 'GET', '/metrics')
    const expiresAt = Number(/^qflare_tls_certificate_expires_timestamp_seconds (\d+)$/m.exec(body)?.[1])
    expect(Math.abs(expiresAt - (Date.now() / 1000 + 23 * 3600))).toBeLessThan(600)
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    expect(service.output.stderr).toBe('')
  })

  test('takes a new certificate on SIGHUP, and keeps the old one while the new one is wrong', async () => {
    const [first, second] = [makeServerCredential(), makeServerCredential()]
    const files = await makeTlsFolder(first)
    const service = spawnService(folder, tlsEnv(files))
    const url = await service.ready()
    const held = await handshake(url, { ca: first.caCertificate })
    expect((held.getEphemeralKeyInfo() as { name?: string }).name).toBe('X25519MLKEM768')

    await writeFile(files.certFile, second.certificate)
    service.kill('SIGHUP')
    await service.said(/"level":50.*stays as it was, and is tried again: QFLARE_TLS_KEY_FILE: .*not the key/)
    await handshake(url, { ca: first.caCertificate })
    await writeFile(files.keyFile, second.privateKey)
    service.kill('SIGHUP')
    await service.said(/the TLS certificate was loaded/)
    await handshake(url, { ca: second.caCertificate })
    await expect(handshake(url, { ca: first.caCertificate })).rejects.toThrow(/certificate/)

    held.write('GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(String((await once(held, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('speaks nothing else than TLS 1.3 with ML-KEM on its port', async () => {
    const credential = makeServerCredential()
    const url = await spawnService(folder, tlsEnv(await makeTlsFolder(credential))).ready()
    const ca = credential.caCertificate
    await expect(handshake(url, { ca, maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/)
    await expect(handshake(url, { ca, ecdhCurve: 'X25519:P-256' })).rejects.toThrow(/handshake failure/)
    await expect(fetch(url.replace('https:', 'http:'))).rejects.toThrow('fetch failed')
  })

  test('takes nobody without a certificate of the authorities of clients, and follows their file', async () => {
    const [first, second] = [makeTlsPair(), makeTlsPair()]
    const files = await makeTlsFolder(first.server)
    const clientCaFile = `${files.caFile}.clients`
    await writeFile(clientCaFile, first.client.caCertificate)
    const service = spawnService(folder, {
      ...tlsEnv(files),
      QFLARE_TLS_CLIENT_CA_FILE: clientCaFile,
      QFLARE_OPERATOR_PORT: '0',
    })
    const url = await service.ready()
    const statusOf = (client?: { certificate: string; privateKey: string }) =>
      ask(url, { ca: first.server.caCertificate, cert: client?.certificate, key: client?.privateKey })
    expect(await statusOf(first.client)).toBe('HTTP/1.1 200 OK')
    expect(await statusOf()).toMatch(/certificate required/)
    expect(await statusOf(second.client)).toBe('nothing')
    expect((await call({ url: await operatorUrl(service) }, 'GET', '/live')).status, 'probes need none').toBe(200)

    await writeFile(clientCaFile, second.client.caCertificate)
    service.kill('SIGHUP')
    await service.said(/the TLS certificate was loaded/)
    expect(await statusOf(second.client)).toBe('HTTP/1.1 200 OK')
    expect(await statusOf(first.client)).toBe('nothing')
  })

  test('does not start with a pair that cannot be used, and says what to look at', async () => {
    const [first, second] = [makeServerCredential(), makeServerCredential()]
    const mixed = tlsEnv(await makeTlsFolder({ ...first, privateKey: second.privateKey }))
    await expectNoStart(
      spawnService(folder, mixed),
      /QFLARE_TLS_KEY_FILE: .*tls\.key is not the key of the certificate/,
    )
    const half = { QFLARE_TLS_CERT_FILE: join(folder, 'tls.crt') }
    await expectNoStart(spawnService(folder, half), /QFLARE_TLS_KEY_FILE: is required with QFLARE_TLS_CERT_FILE/)
  })
})

describe('the operator port', () => {
  test('of a process is another one, and both are closed when it ends', async () => {
    const service = spawnService(folder, { QFLARE_OPERATOR_PORT: '0' })
    const url = await service.ready()
    const operator = await operatorUrl(service)
    expect((await call({ url: operator }, 'GET', '/ready')).body.status).toBe('ready')
    expectRefusal(await call({ url }, 'GET', '/ready'), 404, 'not_found')
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    for (const address of [url, operator]) {
      await expect(fetch(`${address}/live`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    }
  })

  test('that is taken ends the start, and names its variable', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    onTestFinished(() => void holder.close())
    const port = String((holder.address() as AddressInfo).port)
    const service = spawnService(folder, { QFLARE_OPERATOR_PORT: port })
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toBe(
      `QFLARE did not start: port ${port} is taken by another program. Stop that one, or set QFLARE_OPERATOR_PORT.\n`,
    )
    await expectNoStart(spawnService(folder, { QFLARE_OPERATOR_PORT: '8470', PORT: '8470' }), /port of the API already/)
  })
})

test('a variable with a typo is a warning at the start, with the one that is meant', async () => {
  const service = spawnService(folder, { QFLARE_TRUST_DOMIAN: 'fleet.example', QFLARE_URL: 'http://127.0.0.1:1' })
  await service.ready()
  const warnings = service.output.stdout.split('\n').filter((line) => line.includes('"level":40'))
  expect(warnings.map((line) => JSON.parse(line).msg)).toEqual([
    'QFLARE_TRUST_DOMIAN is not known and has no effect; is QFLARE_TRUST_DOMAIN meant?',
  ])
})
