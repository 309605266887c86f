import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openDevice } from '../../../client/device.ts'
import { createHttpClient } from '../../../client/http.ts'
import { explainTlsFailure } from '../../../client/tls-failure.ts'
import { makeServerCredential } from '../../support/tls-files.ts'
import { enrolledDevice } from './setup.ts'

const DAY_MS = 86_400_000
const trusted = getCACertificates('default')
const servers: Server[] = []
afterEach(() => {
  setDefaultCACertificates(trusted)
  for (const server of servers.splice(0)) server.close()
})

const answer: RequestListener = (_request, response) =>
  void response.writeHead(200, { 'Content-Type': 'application/json', Connection: 'close' }).end('{}')

/** Its port. */
async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return (server.address() as AddressInfo).port
}

/** A server whose certificate's life began so many days from now, and how many connections it saw. */
async function tlsServer(more: { days?: number; isTrusted?: boolean; options?: TlsOptions } = {}) {
  const { days = 0, isTrusted = true, options = {} } = more
  const credential = makeServerCredential(new Date(Date.now() + days * DAY_MS))
  if (isTrusted) setDefaultCACertificates([...trusted, credential.caCertificate])
  const seen = { connections: 0 }
  const server = createTlsServer({ cert: credential.certificate, key: credential.privateKey, ...options }, answer)
  server.on('connection', () => seen.connections++)
  return { url: `https://localhost:${await listen(server)}`, seen }
}

async function failureAt(url: string): Promise<unknown> {
  const client = createHttpClient({ url, wait: async () => undefined })
  return client.get('/x', z.strictObject({})).catch((error: unknown) => error)
}

describe('a server over TLS', () => {
  it('is reached by a certificate that this machine trusts', async () => {
    expect(await failureAt((await tlsServer()).url)).toEqual({})
  })

  it.each([
    ['of an unknown authority', { isTrusted: false }, /NODE_EXTRA_CA_CERTS=FILE.*\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/],
    ['that has expired', { days: -3 }, /expired.*the clock of this machine.*\(CERT_HAS_EXPIRED\)/],
    ['that is not valid yet', { days: 3 }, /not valid yet.*\(CERT_NOT_YET_VALID\)/],
    [
      'and groups that this machine lacks',
      { options: { ecdhCurve: 'brainpoolP512r1tls13', minVersion: 'TLSv1.3' as const } },
      /\/X25519 to QFLARE_TLS_GROUPS.*HANDSHAKE_FAILURE\)/,
    ],
  ])('with a certificate %s is `tls_failed` after one try, in one line', async (_what, more, message) => {
    const { url, seen } = await tlsServer(more)
    expect(await failureAt(url)).toMatchObject({ code: 'tls_failed', message: expect.stringMatching(message) })
    expect(await failureAt(url)).toMatchObject({ message: expect.stringMatching(/^No TLS with https:[^\n]+\.$/) })
    expect(seen.connections).toBe(2)
  })

  it('is not there where plain http is spoken', async () => {
    const port = await listen(createServer(answer))
    expect(await failureAt(`https://127.0.0.1:${port}`)).toMatchObject({
      code: 'tls_failed',
      message: expect.stringContaining('Is it http://'),
    })
  })

  it('that fails does not end a device that is kept fresh, which hears why', async () => {
    const { store } = await enrolledDevice()
    const { url } = await tlsServer({ isTrusted: false })
    const device = await openDevice({ store, url, wait: async () => undefined })
    const stop = new AbortController()
    const heard: string[] = []
    await device.keepFresh({
      signal: stop.signal,
      onError(error) {
        if (heard.push(error.code) === 3) stop.abort()
      },
    })
    expect(heard).toEqual(['tls_failed', 'tls_failed', 'tls_failed'])
  })
})

it.each([
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'another name'],
  ['CERT_REVOKED', 'the handshake failed (CERT_REVOKED)'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'the handshake failed'],
])('%s says: %s', (code, message) => {
  const cause = Object.assign(new Error('line\n/path/of/openssl.c:1:\n'), { code })
  const said = explainTlsFailure(cause, 'https://trust.example')
  expect(said).toContain(message)
  expect(said).not.toMatch(/\n|openssl\.c/)
})

it.each(['ECONNRESET', 'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC', 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING', ''])(
  'a connection that broke after its handshake (%s) is no failure of TLS: the request may have arrived',
  (code) => {
    expect(explainTlsFailure(Object.assign(new Error('x'), { code }), 'https://trust.example')).toBeUndefined()
  },
)
