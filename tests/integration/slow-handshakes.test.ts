import { once } from 'node:events'
import { get } from 'node:https'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startTestService, type TestService } from '../support/service.ts'
import { makeServerCredential, makeTlsFolder } from '../support/tls-files.ts'

/** One attacker with many addresses: all of 127.0.0.0/8 is this machine. */
const ADDRESSES = 8
const OF_EACH = 20
/** server/listener.ts gives a handshake 10 s. */
const CUT_OFF_MS = 40_000
/** The head of a ClientHello of 512 bytes, and its first fields. */
const HALF_A_HELLO = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(32)])

const credential = makeServerCredential()
async function ask(service: TestService, path: string): Promise<number | undefined> {
  const request = get(new URL(path, service.url), { ca: credential.caCertificate, agent: false })
  const [answer] = await once(request, 'response')
  answer.resume()
  return answer.statusCode as number | undefined
}

test('handshakes that stop halfway, and connections that never begin one, keep nobody out and are cut off', async () => {
  const groups = 'SecP384r1MLKEM1024:X25519MLKEM768'
  const service = await startTestService({ tls: { ...(await makeTlsFolder(credential)), groups } })
  onTestFinished(() => service.close())
  const port = Number(new URL(service.url).port)
  const sockets: Socket[] = []
  for (let i = 0; i < ADDRESSES * OF_EACH; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (i % ADDRESSES)}` })
    socket.on('error', () => undefined)
    socket.resume()
    await once(socket, 'connect')
    if (i % 2 === 0) socket.write(HALF_A_HELLO)
    sockets.push(socket)
  }
  for (let times = 0; times < 5; times++) expect(await ask(service, '/v1/trust')).toBe(200)
  expect(sockets.filter(({ closed }) => closed)).toEqual([])
  await expect.poll(() => sockets.filter(({ closed }) => !closed).length, { timeout: CUT_OFF_MS }).toBe(0)
  expect(await ask(service, '/v1/trust')).toBe(200)
}, 90_000)
