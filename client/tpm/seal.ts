import { QflareError } from '../errors.ts'
import type { PcrSelection } from './quote.ts'
import { formatSelection } from './read-pcrs.ts'
import { type TpmTools, withSession } from './tools.ts'

/** Of the TPM: its halves of an object that holds a secret under a policy of PCRs. Of no use elsewhere. */
export interface SealedObject {
  /** TPM2B_PUBLIC. */
  publicArea: Uint8Array
  /** TPM2B_PRIVATE, wrapped by the TPM. */
  privateArea: Uint8Array
}

/** Gives the secret out only to a machine whose PCRs are as they are now. `secret` has at most 128 bytes. */
export async function sealToPcrs(tools: TpmTools, secret: Uint8Array, selection: PcrSelection): Promise<SealedObject> {
  await makeParent(tools)
  await withSession(tools, [], (session) =>
    tools.run('policypcr', '--session', session, '--pcr-list', formatSelection(selection), '--policy', 'policy'),
  )
  const files = ['--policy', 'policy', '--public', 'sealed.public', '--private', 'sealed.private']
  const kind = ['--attributes', 'fixedtpm|fixedparent', '--sealing-input', '-']
  await tools.pipe(secret, 'create', '--parent-context', 'parent.ctx', ...kind, ...files)
  await tools.flush()
  return { publicArea: await tools.read('sealed.public'), privateArea: await tools.read('sealed.private') }
}

/** Throws `state_sealed` where the PCRs are others, or the TPM is. */
export async function unsealFromPcrs(
  tools: TpmTools,
  sealed: SealedObject,
  selection: PcrSelection,
): Promise<Uint8Array> {
  await makeParent(tools)
  await tools.write('sealed.public', sealed.publicArea)
  await tools.write('sealed.private', sealed.privateArea)
  const files = ['--public', 'sealed.public', '--private', 'sealed.private', '--key-context', 'sealed.ctx']
  await tools.run('load', '--parent-context', 'parent.ctx', ...files).catch((error: unknown) => {
    throw explain(error, /integrity check failed/, 'by another TPM, or before this one was cleared: enrol anew.')
  })
  await tools.flush()
  // Salted with the parent's key: what the TPM answers crosses its bus encrypted.
  return withSession(tools, ['--policy-session', '--tpmkey-context', 'parent.ctx'], async (session) => {
    await tools.run('policypcr', '--session', session, '--pcr-list', formatSelection(selection))
    const unsealing = tools.pipe(undefined, 'unseal', '--object-context', 'sealed.ctx', '--auth', `session:${session}`)
    return unsealing.catch((error: unknown) => {
      const changed = `to other values of the PCRs ${formatSelection(selection)}. Boot what was booted then; where the change was meant, enrol anew.`
      throw explain(error, /policy check failed/, changed)
    })
  })
}

/** The same each time: a primary key comes from the owner's seed, which a TPM keeps until it is cleared. */
async function makeParent(tools: TpmTools): Promise<void> {
  await tools.run('createprimary', '--hierarchy', 'o', '--key-algorithm', 'ecc', '--key-context', 'parent.ctx')
  await tools.flush()
}

function explain(error: unknown, reason: RegExp, what: string): unknown {
  if (!(error instanceof QflareError) || !reason.test(error.message)) return error
  return new QflareError('state_sealed', `The state was sealed ${what}`, { cause: error })
}
