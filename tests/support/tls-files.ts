import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { makeCertificates } from '../../bench/handshake/certificates.ts'

export interface TestCredential {
  certificate: string
  privateKey: string
  caCertificate: string
}

/** A server's, and a client's by another CA: valid as `makeServerCredential` says. */
export function makeTlsPair(at = new Date()): { server: TestCredential; client: TestCredential } {
  return makeCertificates(at)
}

/** Of `localhost` and 127.0.0.1, valid from an hour before `at` for a day, by a CA of its own. */
export function makeServerCredential(at = new Date()): TestCredential {
  return makeCertificates(at).server
}

export interface TlsFolder {
  certFile: string
  keyFile: string
  caFile: string
  /** Clients need no certificate. */
  clientCaFile: string | undefined
}

/** A folder with the credential as an operator would put it there; removed at the end of the test. */
export async function makeTlsFolder(credential: TestCredential): Promise<TlsFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-tls-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const files = {
    certFile: join(folder, 'tls.crt'),
    keyFile: join(folder, 'tls.key'),
    caFile: join(folder, 'ca.crt'),
    clientCaFile: undefined,
  }
  await writeFile(files.certFile, credential.certificate)
  await writeFile(files.keyFile, credential.privateKey, { mode: 0o600 })
  await writeFile(files.caFile, credential.caCertificate)
  return files
}
