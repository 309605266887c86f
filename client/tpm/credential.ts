import type { CredentialAnswer } from '../../protocol/attestation/messages.ts'
import { readPublicArea } from './public-area.ts'
import { type TpmTools, withSession } from './tools.ts'

/** What tpm2-tools begin a file of a credential with: a magic number and a version. */
const FILE_HEADER = new Uint8Array([0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1])

/**
 * The secret of a credential, which only the TPM with both keys can open (TPM 2.0 Part 1, "Credential Protection"). `ek` and `ak`:
 * handles or files of contexts. Throws `tpm_refused` for a credential of other keys.
 */
export async function openCredential(
  tools: TpmTools,
  { ek, ak }: { ek: string; ak: string },
  { credentialBlob, encryptedSecret }: CredentialAnswer,
): Promise<Uint8Array> {
  await tools.write('credential', Buffer.concat([FILE_HEADER, credentialBlob, encryptedSecret]))
  const { attributes } = await readPublicArea(tools, ek)
  await tools.flush()
  const keys = ['--credentialedkey-context', ak, '--credentialkey-context', ek]
  const args = [...keys, '--credential-blob', 'credential', '--certinfo-data', 'secret']
  // Keys of the high range take their empty password, those of the low range a policy: that of their hierarchy's.
  if (attributes.includes('userwithauth')) {
    await tools.run('activatecredential', ...args)
  } else {
    await withSession(tools, ['--policy-session'], async (session) => {
      await tools.run('policysecret', '--session', session, '--object-context', 'e')
      await tools.run('activatecredential', ...args, '--credentialkey-auth', `session:${session}`)
    })
  }
  return tools.read('secret')
}
