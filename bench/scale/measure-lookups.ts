import { Agent, get } from 'node:http'
import { type Figure, summarize } from '../figure.ts'

interface Target {
  url: string
  adminToken: string
  devices: readonly { deviceId: string; sessionId: string }[]
  own: { deviceId: string; accessToken: string }
}

interface Lookup {
  name: string
  /** Path and token of the i-th request. */
  at: (i: number) => { path: string; token: string }
}

const PAGE = 50

/** Milliseconds of single requests, one after the other on one connection: the whole way, with its authentication. */
export async function measureLookups(target: Target, size: number): Promise<Figure[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const figures: Figure[] = []
  for (const { name, at } of listLookups(target)) {
    const samples: number[] = []
    for (const i of target.devices.keys()) samples.push(await timeOf(target.url, agent, at(i)))
    // The first ones prepare statements.
    const settled = samples.slice(Math.floor(samples.length / 10))
    figures.push(summarize({ part: 'lookups', name: `${name}, ${size} devices`, unit: 'ms' }, settled))
  }
  agent.destroy()
  return figures
}

function listLookups({ devices, adminToken, own }: Target): Lookup[] {
  const deviceAt = (i: number) => devices[i] as Target['devices'][number]
  return [
    { name: 'device by id', at: (i) => ({ path: `/v1/devices/${deviceAt(i).deviceId}`, token: adminToken }) },
    { name: 'session by id', at: (i) => ({ path: `/v1/sessions/${deviceAt(i).sessionId}`, token: adminToken }) },
    { name: `newest ${PAGE} devices`, at: () => ({ path: `/v1/devices?limit=${PAGE}`, token: adminToken }) },
    {
      name: `${PAGE} devices from a cursor on`,
      at: (i) => ({ path: `/v1/devices?limit=${PAGE}&cursor=${toCursor(deviceAt(i).deviceId)}`, token: adminToken }),
    },
    {
      name: 'sessions of a device',
      at: (i) => ({ path: `/v1/sessions?deviceId=${deviceAt(i).deviceId}`, token: adminToken }),
    },
    { name: 'own device by access token', at: () => ({ path: `/v1/devices/${own.deviceId}`, token: own.accessToken }) },
  ]
}

/** What the service gives as `nextCursor` behind this device. */
function toCursor(deviceId: string): string {
  return Buffer.from(deviceId).toString('base64url')
}

function timeOf(url: string, agent: Agent, { path, token }: { path: string; token: string }): Promise<number> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const sent = get(new URL(path, url), { agent, headers }, (answer) => {
      answer.resume()
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(performance.now() - startedAt)
        else reject(new Error(`${path} answered ${answer.statusCode}.`))
      })
    })
    sent.on('error', reject)
  })
}
