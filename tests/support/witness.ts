import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { lockFile } from '../../client/command/file-lock.ts'
import {
  type CheckpointSignature,
  parseCheckpointBody,
  verifyCheckpointSignature,
} from '../../protocol/log/checkpoint.ts'
import { parseNote, parseSignatureLine } from '../../protocol/log/signed-note.ts'
import { parseVerifierKey } from '../../protocol/log/verifier-key.ts'
import { formatWitnessRequest } from '../../protocol/log/witness-request.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Logger } from '../../runtime/logger.ts'
import { parseFollowedLogs } from '../../witness/followed-logs.ts'
import { type RunningWitness, startWitness } from '../../witness/start-witness.ts'
import { qflareMain } from './command-suite.ts'
import type { TestLog } from './test-log.ts'

export const crypto = await choosePrimitives()
export const WITNESS = 'witness.example/w1'

export interface LogLine {
  level: keyof Logger
  message: string
}

/** Keeps what is logged. */
export function keepLog(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = []
  const keep = (level: keyof Logger) => (message: string) => void lines.push({ level, message })
  return { lines, logger: { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') } }
}

export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-witness-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A witness in this process, over HTTP on loopback, with a clock and a log of the test. */
export async function startHere(
  folder: string,
  vkeys: readonly string[],
  options: { now?: () => number; logger?: Logger; name?: string; port?: number } = {},
): Promise<RunningWitness> {
  const witness = await startWitness({
    crypto,
    name: options.name ?? WITNESS,
    logs: parseFollowedLogs(
      crypto,
      vkeys.map((vkey) => ({ where: 'the test', vkey })),
    ),
    folder,
    host: '127.0.0.1',
    port: options.port ?? 0,
    now: options.now ?? Date.now,
    logger: options.logger ?? keepLog().logger,
    lockFile,
  })
  onTestFinished(() => witness.close())
  return witness
}

export interface WitnessProcess {
  vkey: string
  url: string
  stderr(): string
  /** What it ended with: its exit code, or the signal. */
  kill(signal: NodeJS.Signals): Promise<number | string>
}

/** `qflare witness` as a process of its own. Throws with what it said when it does not start. */
export async function spawnWitness(folder: string, vkeys: readonly string[]): Promise<WitnessProcess> {
  const logs = vkeys.flatMap((vkey) => ['--log', vkey])
  const child = spawnQflare(['witness', '--name', WITNESS, '--data-dir', folder, '--port', '0', ...logs])
  const output = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const closed = once(child, 'close').then(([code, signal]) => (code as number | null) ?? String(signal))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await closed
  })
  const ready = new Promise<true>((done) => {
    child.stdout?.on('data', () => output.stdout.split('\n').length > 2 && done(true))
  })
  if ((await Promise.race([ready, closed])) !== true) throw new Error(`no witness:\n${output.stdout}${output.stderr}`)
  const [vkey = '', url = ''] = output.stdout.split('\n')
  return {
    vkey,
    url,
    stderr: () => output.stderr,
    kill(signal) {
      child.kill(signal)
      return closed
    },
  }
}

function spawnQflare(args: string[]): ChildProcess {
  const env = { PATH: process.env['PATH'] ?? '' }
  return spawn(process.execPath, [qflareMain, ...args], { cwd: tmpdir(), env, stdio: ['ignore', 'pipe', 'pipe'] })
}

export interface Answer {
  status: number
  contentType: string | null
  body: string
}

export async function post(url: string, body: string | Uint8Array<ArrayBuffer>): Promise<Answer> {
  const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body })
  return { status: response.status, contentType: response.headers.get('content-type'), body: await response.text() }
}

/** Asks for a cosignature of the log at size `to`, with the honest proof from `from`. */
export function ask(url: string, log: TestLog, from: number, to: number): Promise<Answer> {
  const proof = from <= to ? log.prove(from, to) : []
  return post(url, formatWitnessRequest({ oldSize: from, proof, checkpoint: log.checkpoint(to) }))
}

/** The one cosignature of an answer, verified over the log's tree of a size. Throws where it is none. */
export function cosignatureOf(answer: Answer, vkey: string, log: TestLog, size: number): CheckpointSignature {
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`)
  const checkpoint = parseCheckpointBody(parseNote(log.checkpoint(size)).body)
  const [line = '', rest] = answer.body.split('\n')
  if (rest !== '') throw new Error(`more than a line: ${answer.body}`)
  const found = verifyCheckpointSignature(crypto, checkpoint, parseSignatureLine(line), parseVerifierKey(crypto, vkey))
  if (found === undefined) throw new Error('the cosignature is of another key')
  return found
}
