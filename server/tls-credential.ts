import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { TlsFiles } from '../runtime/config.ts'

/** What the server shows of itself, checked. */
export interface TlsCredential {
  context: SecureContextOptions
  /** Milliseconds since the Unix epoch. */
  expiresAt: number
}

/** Why the files cannot be used, with the name of the variable to look at. */
export class TlsFileError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'TlsFileError'
  }
}

const CERT = 'QFLARE_TLS_CERT_FILE'
const KEY = 'QFLARE_TLS_KEY_FILE'

/** Reads the pair and sees that it can be served: that it belongs together and is valid `now`. Throws TlsFileError. */
export async function loadTlsCredential({ certFile, keyFile, groups }: TlsFiles, now: number): Promise<TlsCredential> {
  const [cert, key] = await Promise.all([readPem(CERT, certFile), readPem(KEY, keyFile)])
  const certificate = parse(`${CERT}: ${certFile} is no PEM certificate`, () => new X509Certificate(cert))
  const privateKey = parse(`${KEY}: ${keyFile} is no PEM private key without a passphrase`, () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TlsFileError(`${KEY}: ${keyFile} is not the key of the certificate in ${certFile}.`)
  }
  const { validFromDate, validToDate } = certificate
  if (validToDate.getTime() <= now) {
    throw new TlsFileError(`${CERT}: the certificate in ${certFile} expired at ${validToDate.toISOString()}.`)
  }
  if (validFromDate.getTime() > now) {
    throw new TlsFileError(
      `${CERT}: the certificate in ${certFile} is not valid before ${validFromDate.toISOString()}.`,
    )
  }
  parse(`QFLARE_TLS_GROUPS: ${groups} names a group that OpenSSL does not know`, () =>
    createSecureContext({ ecdhCurve: groups }),
  )
  const context = { cert, key, minVersion: 'TLSv1.3', ecdhCurve: groups } as const
  parse(`${CERT}: the certificates in ${certFile} cannot be served`, () => createSecureContext(context))
  return { context, expiresAt: validToDate.getTime() }
}

async function readPem(variable: string, path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new TlsFileError(`${variable}: ${path} cannot be read (${error.code ?? error.message}).`, error)
  })
}

function parse<T>(problem: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new TlsFileError(`${problem} (${error instanceof Error ? error.message : String(error)}).`, error)
  }
}
