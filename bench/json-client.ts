import { Agent, request } from 'node:http'

/** As little of a client as there can be: what it costs is taken from what is measured, for both share the cores. */
export interface JsonClient {
  /** Throws for another status than this one. */
  post(path: string, expected: number, body: object, bearer?: string): Promise<unknown>
}

/** Connections stay open. */
export function createJsonClient(base: string, maxSockets: number): JsonClient {
  const url = new URL(base)
  const agent = new Agent({ keepAlive: true, maxSockets })
  return {
    post(path, expected, body, bearer) {
      const text = JSON.stringify(body)
      return new Promise((resolve, reject) => {
        const headers = {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        }
        const sent = request(new URL(path, url), { method: 'POST', agent, headers }, (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('end', () => {
            const said = Buffer.concat(chunks).toString()
            if (answer.statusCode === expected) resolve(JSON.parse(said))
            else reject(new Error(`${path} answered ${answer.statusCode}: ${said}`))
          })
        })
        sent.on('error', reject)
        sent.end(text)
      })
    },
  }
}
