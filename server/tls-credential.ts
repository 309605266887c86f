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

const CLIENT_CA = 'QFLARE_TLS_CLIENT_CA_FILE'
const CERT = 'QFLARE_TLS_CERT_FILE'
const KEY = 'QFLARE_TLS_KEY_FILE'

/**
 * Reads the pair and sees that it can be served: that it belongs together and is valid `now`. With authorities of clients, which are
 * the context's `ca` then. Throws TlsFileError.
 */
export async function loadTlsCredential(
  { certFile, keyFile, groups, clientCaFile }: TlsFiles,
  now: number,
): Promise<TlsCredential> {
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
  const ca = clientCaFile === undefined ? undefined : await loadAuthorities(clientCaFile)
  const context = { cert, key, minVersion: 'TLSv1.3', ecdhCurve: groups, ...(ca === undefined ? {} : { ca }) } as const
  parse(`${CERT}: the certificates in ${certFile} cannot be served`, () => createSecureContext(context))
  return { context, expiresAt: validToDate.getTime() }
}

/** Each has to be one: of a file that holds none, or the clients' own certificates, OpenSSL would only say nothing and refuse all. */
async function loadAuthorities(file: string): Promise<string[]> {
  const blocks = (await readPem(CLIENT_CA, file)).match(PEM_CERTIFICATES) ?? []
  if (blocks.length === 0) throw new TlsFileError(`${CLIENT_CA}: ${file} holds no PEM certificate.`)
  for (const block of blocks) {
    const certificate = parse(`${CLIENT_CA}: ${file} holds what is no certificate`, () => new X509Certificate(block))
    if (!certificate.ca) {
      throw new TlsFileError(`${CLIENT_CA}: ${file} holds a certificate of no authority (${certificate.subject}).`)
    }
  }
  return blocks
}

const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

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
