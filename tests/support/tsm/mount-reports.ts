import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type FuseRequest,
  IN_HEADER_BYTES,
  initReply,
  openReply,
  operations,
  parseRequest,
  readName,
  toAttributesReply,
  toEntry,
  toReply,
  writeReply,
} from './fuse.ts'
import { systemError, type TsmKernel } from './kernel.ts'

const DIRECTORY = 0o040000
const FILE = 0o100000
const ROOT = 1
const SYS_ADMIN = 21n

/**
 * What a test with mounted reports lacks here: it has to be root on a Linux with FUSE, as outside of a container. And it has to be
 * asked for: a file system that the process serves which uses it can stop that process for good, where it starts another one meanwhile.
 */
export function whyNoMount(): string | undefined {
  if (process.env['QFLARE_TSM_MOUNT'] !== '1') return 'QFLARE_TSM_MOUNT is not 1'
  if (process.platform !== 'linux' || !existsSync('/dev/fuse')) return 'this machine has no FUSE'
  const [, capabilities = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  const mayMount = process.getuid?.() === 0 && ((BigInt(`0x${capabilities}`) >> SYS_ADMIN) & 1n) === 1n
  return mayMount ? undefined : 'mounting needs root'
}

export interface MountedReports {
  folder: string
  unmount(): Promise<void>
}

/** The reports of a test's kernel as what they are on a machine: folders and files that a kernel answers for, and no others. */
export async function mountReports(kernel: TsmKernel): Promise<MountedReports> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-tsm-'))
  const descriptor = openSync('/dev/fuse', constants.O_RDWR)
  const answer = createAnswers(kernel)
  const reader = startReader(descriptor, (message) => {
    const reply = toReplyOf(parseRequest(message), answer)
    if (reply !== undefined) writeSync(descriptor, reply)
  })
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
  await run('mount', ['-i', '-t', 'fuse', '-o', options, 'qflare-tsm', folder], descriptor)
  return {
    folder,
    async unmount() {
      const ended = once(reader, 'exit')
      await run('umount', ['-l', folder])
      await ended
      closeSync(descriptor)
      await rmdir(folder)
    },
  }
}

/** A test that fails leaves it to end with this process. */
function startReader(descriptor: number, onRequest: (message: Buffer) => void): ChildProcess {
  const program = join(import.meta.dirname, 'fuse-reader.ts')
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit', descriptor] })
  let waiting = Buffer.alloc(0)
  child.stdout?.on('data', (bytes: Buffer) => {
    waiting = Buffer.concat([waiting, bytes])
    while (waiting.length >= IN_HEADER_BYTES && waiting.length >= waiting.readUInt32LE(0)) {
      const length = waiting.readUInt32LE(0)
      onRequest(waiting.subarray(0, length))
      waiting = waiting.subarray(length)
    }
  })
  return child
}

const unanswered: readonly number[] = [operations.forget, operations.batchForget, operations.interrupt]

function toReplyOf(request: FuseRequest, answer: (request: FuseRequest) => Uint8Array): Buffer | undefined {
  if (unanswered.includes(request.operation)) return undefined
  try {
    return toReply(request.unique, answer(request))
  } catch (error) {
    return toReply(request.unique, Buffer.alloc(0), (error as NodeJS.ErrnoException).code ?? 'EIO')
  }
}

/** Undefined: the folder of all of them. Without an attribute: that of one report. */
type Place = { name: string; attribute?: string } | undefined

function createAnswers(kernel: TsmKernel): (request: FuseRequest) => Uint8Array {
  const places: Place[] = [undefined, undefined]
  const written = new Map<number, Buffer>()
  const nothing = Buffer.alloc(0)
  const enter = (place: Place) => places.push(place) - 1
  const modeAt = (place: Place) =>
    place?.attribute === undefined ? DIRECTORY | 0o755 : FILE | kernel.modeOf(place.attribute)
  const fileAt = (node: number): Required<NonNullable<Place>> => {
    const place = places[node]
    if (place?.attribute === undefined) throw systemError('EISDIR')
    return { name: place.name, attribute: place.attribute }
  }

  function look(parent: Place, name: string): Uint8Array {
    const place: Place = parent === undefined ? { name } : { name: parent.name, attribute: name }
    const isThere = parent === undefined ? kernel.names().includes(name) : kernel.modeOf(name) > 0
    if (!isThere) throw systemError('ENOENT')
    return toEntry(enter(place), modeAt(place))
  }

  const answers: Record<number, (node: number, body: Buffer) => Uint8Array> = {
    [operations.init]: initReply,
    [operations.lookup]: (node, body) => look(places[node], readName(body)),
    [operations.getattr]: (node) => toAttributesReply(node, modeAt(places[node])),
    [operations.mkdir](node, body) {
      if (node !== ROOT) throw systemError('EPERM')
      const name = readName(body.subarray(8))
      kernel.make(name)
      return look(undefined, name)
    },
    [operations.rmdir](node, body) {
      if (node !== ROOT) throw systemError('EPERM')
      kernel.remove(readName(body))
      return nothing
    },
    [operations.open](node, body) {
      const { name, attribute } = fileAt(node)
      const access = body.readUInt32LE(0) & 3
      if (access === constants.O_RDWR || access === constants.O_RDONLY) kernel.open(name, attribute, 'read')
      if (access === constants.O_RDWR || access === constants.O_WRONLY) kernel.open(name, attribute, 'write')
      return openReply()
    },
    [operations.read](node, body) {
      const { name, attribute } = fileAt(node)
      const offset = Number(body.readBigUInt64LE(8))
      return kernel.read(name, attribute).subarray(offset, offset + body.readUInt32LE(16))
    },
    [operations.write](node, body) {
      const { name, attribute } = fileAt(node)
      const bytes = Buffer.from(body.subarray(40, 40 + body.readUInt32LE(16)))
      if (kernel.isBinary(attribute)) written.set(node, Buffer.concat([written.get(node) ?? nothing, bytes]))
      else kernel.write(name, attribute, bytes)
      return writeReply(bytes.length)
    },
    // What close() waits for; a release comes at any time after it.
    [operations.flush](node) {
      const bytes = written.get(node)
      written.delete(node)
      const { name, attribute } = fileAt(node)
      if (bytes !== undefined) closeQuietly(() => kernel.write(name, attribute, bytes))
      return nothing
    },
    [operations.release]: () => nothing,
  }
  return ({ operation, node, body }) => {
    const found = answers[operation]
    if (found === undefined) throw systemError('ENOSYS')
    return found(node, body)
  }
}

/** "result of ->release() is ignored", says configfs. */
function closeQuietly(store: () => void): void {
  try {
    store()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
  }
}

async function run(command: string, args: readonly string[], descriptor?: number): Promise<void> {
  const extra = descriptor === undefined ? [] : [descriptor]
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', ...extra] })
  const [exitCode] = await once(child, 'exit')
  if (exitCode !== 0) throw new Error(`${command} ends with ${exitCode}`)
}
