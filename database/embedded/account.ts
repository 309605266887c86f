import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'

/** Whom PostgreSQL runs as when we are root, which it refuses to be. Everywhere else `undefined` means: as ourselves. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

export interface CommandResult {
  readonly succeeded: boolean
  /** standard output and standard error, or why the command could not be run */
  readonly output: string
}

const commandTimeoutMs = 120_000

export function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** initdb wants an entry in /etc/passwd, so that a bare number will not do. */
export async function findServiceAccount(): Promise<Account | undefined> {
  const entries = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'))
  for (const wanted of ['postgres', 'nobody']) {
    const [name, , uid, gid] = entries.find((entry) => entry[0] === wanted) ?? []
    // macOS writes nobody's ids as -2
    if (name && uid && gid && uid !== '0') return { name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }
  }
  return undefined
}

/** What a child of ours gets: its own process group, so that Ctrl-C reaches Node alone, and nothing of our environment. */
export function childOptions(account: Account | undefined) {
  return {
    cwd: '/',
    detached: true,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C', TZ: 'UTC' },
    ...(account && { uid: account.uid, gid: account.gid }),
  }
}

/** Runs a command to its end and never rejects. */
export async function runAs(
  account: Account | undefined,
  command: string,
  args: readonly string[],
): Promise<CommandResult> {
  const { promise, resolve } = Promise.withResolvers<CommandResult>()
  const child = spawn(command, args, {
    ...childOptions(account),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: commandTimeoutMs,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  child.on('error', (error) => resolve({ succeeded: false, output: error.message }))
  child.on('close', (code, signal) =>
    resolve({ succeeded: code === 0, output: signal ? `${output}(ended by ${signal})` : output }),
  )
  return promise
}

/** Tries it instead of reading mode bits, which know nothing of ACLs and mounts. */
export async function canEnter(account: Account | undefined, folder: string): Promise<boolean> {
  return (await runAs(account, '/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder])).succeeded
}
