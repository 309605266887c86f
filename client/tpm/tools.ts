import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toTpmError } from './tool-errors.ts'

/** A key of a real TPM may take half a minute to be made. */
const TIMEOUT_MS = 90_000
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024

/** The programs of tpm2-tools, over a folder that is theirs alone. Names of files are names in it. */
export interface TpmTools {
  /** What it prints. Throws `tpm_unavailable`, `tpm_refused`. */
  run(tool: string, ...args: string[]): Promise<string>
  /** The same for secrets, which are then in no file: on its standard input, and as the bytes that it prints. */
  pipe(input: Uint8Array | undefined, tool: string, ...args: string[]): Promise<Uint8Array>
  read(file: string): Promise<Uint8Array>
  write(file: string, bytes: Uint8Array): Promise<void>
  /** Takes the objects that were loaded here out of the TPM, which has room for three; what was saved of them can be loaded again. */
  flush(): Promise<void>
}

/** What is under way, by TPM: without a resource manager one work would take the objects of another for its own. */
const turns = new Map<string | undefined, Promise<unknown>>()

/**
 * Works with a TPM, one work of this process after the other. However it ends, nothing is left behind: no file (in a folder of mode 0700), no object in a TPM without a resource
 * manager. `tcti`: as for tpm2-tools; undefined is their default, `TPM2TOOLS_TCTI` or the TPM of this machine.
 */
export function withTpmTools<T>(tcti: string | undefined, work: (tools: TpmTools) => Promise<T>): Promise<T> {
  const mine = (turns.get(tcti) ?? Promise.resolve()).then(() => useTools(tcti, work))
  const ended = mine.catch(() => undefined).finally(() => turns.get(tcti) === ended && turns.delete(tcti))
  turns.set(tcti, ended)
  return mine
}

async function useTools<T>(tcti: string | undefined, work: (tools: TpmTools) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-tpm-'))
  const pipe: TpmTools['pipe'] = (input, ...args) => runTool({ folder, tcti, input }, args)
  const run: TpmTools['run'] = async (...args) => (await pipe(undefined, ...args)).toString()
  try {
    const before = await listObjects(run)
    const flush = async () => {
      for (const handle of await listObjects(run)) if (!before.includes(handle)) await run('flushcontext', handle)
    }
    try {
      const read = async (file: string) => new Uint8Array(await readFile(join(folder, file)))
      const write = (file: string, bytes: Uint8Array) => writeFile(join(folder, file), bytes, { mode: 0o600 })
      return await work({ run, pipe, read, write, flush })
    } finally {
      await flush()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A session of its own, ended afterwards. `work` has the file of its context; `args` say of which kind it is. */
export async function withSession<T>(
  tools: TpmTools,
  args: readonly string[],
  work: (session: string) => Promise<T>,
): Promise<T> {
  await tools.run('startauthsession', '--session', 'session.ctx', ...args)
  await tools.flush()
  try {
    return await work('session.ctx')
  } finally {
    await tools.run('flushcontext', 'session.ctx')
  }
}

/** Those that are loaded; a resource manager shows those of this process alone. */
async function listObjects(run: TpmTools['run']): Promise<string[]> {
  return (await run('getcap', 'handles-transient')).match(/0x[0-9a-f]+/gi) ?? []
}

function runTool(
  { folder, tcti, input }: { folder: string; tcti: string | undefined; input: Uint8Array | undefined },
  [tool = '', ...args]: readonly string[],
): Promise<Buffer> {
  const where = tcti === undefined ? [] : ['--tcti', tcti]
  return new Promise((resolve, reject) => {
    const limits = { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES }
    const options = { cwd: folder, encoding: 'buffer', windowsHide: true, ...limits } as const
    const child = execFile('tpm2', [tool, ...where, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(toTpmError(tool, error, stderr.toString()))
    })
    // What it does not read is its own affair: how it ends says why.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}
