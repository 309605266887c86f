import { stat } from 'node:fs/promises'
import type { TlsFiles } from '../runtime/config.ts'
import type { Logger } from '../runtime/logger.ts'
import { loadTlsCredential, type TlsCredential, TlsFileError } from './tls-credential.ts'

const EVERY_MS = 5_000

/**
 * Uses the certificate and key anew whenever their files have changed: it looks every few seconds, and at once on SIGHUP.
 * Certificate and key are often written one after the other, so a pair that cannot be used is an error in the log, the one in use
 * stays, and the next look tries again. Looks at the files that the names lead to, so that a link that is changed is a change.
 */
export function followTlsFiles(parts: {
  files: TlsFiles
  use: (credential: TlsCredential) => void
  now: () => number
  logger: Logger
  /** What the files were before they were read for the credential in use. */
  inUse: string
}): { look(isAsked?: boolean): Promise<void>; close(): void } {
  const { files, logger } = parts
  let { inUse } = parts
  let reported = ''
  let looking: Promise<void> = Promise.resolve()

  async function lookOnce(isAsked: boolean): Promise<void> {
    // Taken before the files are read: what is written meanwhile is a change that the next look finds.
    const found = await fingerprint(files)
    if (found === inUse && !isAsked) return
    try {
      const credential = await loadTlsCredential(files, parts.now())
      parts.use(credential)
      inUse = found
      reported = ''
      logger.info(`the TLS certificate was loaded; it expires at ${new Date(credential.expiresAt).toISOString()}`)
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error
      const report = `${found} ${error.message}`
      if (report === reported && !isAsked) return
      reported = report
      logger.error(`the TLS certificate stays as it was, and is tried again: ${error.message}`)
    }
  }

  function look(isAsked = false): Promise<void> {
    looking = looking
      .then(() => lookOnce(isAsked))
      .catch((error: unknown) => logger.error('the TLS files could not be looked at', {}, error))
    return looking
  }

  const onSignal = (): void => void look(true)
  const timer = setInterval(() => void look(), EVERY_MS)
  process.on('SIGHUP', onSignal)
  return {
    look,
    close() {
      clearInterval(timer)
      process.off('SIGHUP', onSignal)
    },
  }
}

/** Changes whenever one of the files is written, replaced or linked to another. */
export async function fingerprint({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<string> {
  const files = [certFile, keyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])]
  const parts = files.map(async (path) => {
    const found = await stat(path, { bigint: true }).catch(() => undefined)
    return found === undefined ? 'none' : `${found.dev}:${found.ino}:${found.mtimeNs}:${found.ctimeNs}:${found.size}`
  })
  return (await Promise.all(parts)).join(' ')
}
