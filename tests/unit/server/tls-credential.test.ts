import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { loadTlsCredential } from '../../../server/tls-credential.ts'
import { makeServerCredential, makeTlsFolder } from '../../support/tls-files.ts'

const groups = 'SecP384r1MLKEM1024:X25519MLKEM768'
const DAY_MS = 86_400_000

describe('a certificate and its key', () => {
  test('are loaded with the time at which they expire, for TLS 1.3 and nothing older', async () => {
    const at = new Date()
    const files = await makeTlsFolder(makeServerCredential(at))
    const { context, expiresAt } = await loadTlsCredential({ ...files, groups }, at.getTime())
    expect(context).toMatchObject({ minVersion: 'TLSv1.3', ecdhCurve: groups })
    expect(Math.abs(expiresAt - (at.getTime() - DAY_MS / 24 + DAY_MS))).toBeLessThan(1_000)
  })

  test('may be a chain, the server’s own first', async () => {
    const credential = makeServerCredential()
    const files = await makeTlsFolder({
      ...credential,
      certificate: credential.certificate + credential.caCertificate,
    })
    expect(await loadTlsCredential({ ...files, groups }, Date.now())).toBeDefined()
  })

  test('are refused by name when a file is missing, empty, cut or another', async () => {
    const credential = makeServerCredential()
    const problemOf = async (change: { certificate?: string; privateKey?: string }): Promise<string> => {
      const files = await makeTlsFolder({ ...credential, ...change })
      return loadTlsCredential({ ...files, groups }, Date.now()).then(String, (error: Error) => error.message)
    }
    const { certificate, privateKey } = credential
    expect(await problemOf({ certificate: '' })).toMatch(/^QFLARE_TLS_CERT_FILE: .*tls\.crt is no PEM certificate/)
    expect(await problemOf({ certificate: certificate.slice(0, 300) })).toMatch(/^QFLARE_TLS_CERT_FILE: .* is no PEM/)
    expect(await problemOf({ certificate: privateKey })).toMatch(/^QFLARE_TLS_CERT_FILE: .* is no PEM certificate/)
    expect(await problemOf({ privateKey: '' })).toMatch(/^QFLARE_TLS_KEY_FILE: .*tls\.key is no PEM private key/)
    expect(await problemOf({ privateKey: certificate })).toMatch(/^QFLARE_TLS_KEY_FILE: .* is no PEM private key/)
    expect(await problemOf({ privateKey: makeServerCredential().privateKey })).toMatch(
      /^QFLARE_TLS_KEY_FILE: .*tls\.key is not the key of the certificate in .*tls\.crt\.$/,
    )
    const files = await makeTlsFolder(credential)
    const missing = { ...files, certFile: `${files.certFile}.none`, groups }
    await expect(loadTlsCredential(missing, Date.now())).rejects.toThrow(
      /^QFLARE_TLS_CERT_FILE: .*tls\.crt\.none cannot be read \(ENOENT\)\.$/,
    )
  })

  test('tell nothing of the key in what they are refused with', async () => {
    const { privateKey, ...rest } = makeServerCredential()
    const files = await makeTlsFolder({ ...rest, privateKey: privateKey.slice(0, 60) })
    const message = await loadTlsCredential({ ...files, groups }, Date.now()).then(
      String,
      (error: Error) => error.message,
    )
    expect(message).toContain('QFLARE_TLS_KEY_FILE')
    expect(message).not.toContain(privateKey.split('\n')[1]?.slice(0, 20))
  })

  test('are refused before and after they are valid', async () => {
    const at = Date.now()
    const files = { ...(await makeTlsFolder(makeServerCredential(new Date(at)))), groups }
    await expect(loadTlsCredential(files, at + DAY_MS)).rejects.toThrow(/^QFLARE_TLS_CERT_FILE: .* expired at 20/)
    await expect(loadTlsCredential(files, at - DAY_MS)).rejects.toThrow(/^QFLARE_TLS_CERT_FILE: .* not valid before 20/)
    await writeFile(files.certFile, makeServerCredential(new Date(at + 2 * DAY_MS)).certificate)
    await expect(loadTlsCredential(files, at)).rejects.toThrow(/QFLARE_TLS_KEY_FILE: .* is not the key/)
  })

  test('are refused for groups that OpenSSL does not know', async () => {
    const files = await makeTlsFolder(makeServerCredential())
    await expect(loadTlsCredential({ ...files, groups: 'X25519MLKEM786' }, Date.now())).rejects.toThrow(
      /^QFLARE_TLS_GROUPS: X25519MLKEM786 names a group that OpenSSL does not know/,
    )
  })
})
