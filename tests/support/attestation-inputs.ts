import { randomBytes } from 'node:crypto'
import { toBase64url } from '../../protocol/encoding.ts'
import { type Answer, call } from './api.ts'
import { crlWish } from './crl.ts'
import { psaKeyPair } from './psa.ts'
import type { TestService } from './service.ts'
import { spkiOf } from './x509-signing.ts'

/** The key of a device: the same one for every instance, where no other algorithm is named. */
export function psaWish(instanceId = `01${randomBytes(32).toString('hex')}`, algorithm: 'ES256' | 'ES384' = 'ES256') {
  return { format: 'psa', keys: [{ instanceId, publicKey: toBase64url(spkiOf(psaKeyPair(algorithm))) }] }
}

/** Certificates of authorities of TPMs: its own issuer is a root. */
export function authoritiesWish(...ders: Uint8Array[]) {
  const pem = ders.map((der) => {
    const lines = Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n')
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
  })
  return { format: 'tpm2', pem: pem.join('') }
}

/** One value of a TPM, another one each time. */
export function referenceWish(name = 'a release', pcr0 = randomBytes(32).toString('hex')) {
  return { format: 'tpm2', name, values: [{ pcrs: { sha256: { '0': [pcr0] } } }] }
}

export function postAnchors(service: Pick<TestService, 'url' | 'adminToken'>, body: unknown): Promise<Answer> {
  return call(service, 'POST', '/v1/trust-anchors', { token: service.adminToken, body })
}

export function postReferenceValues(service: Pick<TestService, 'url' | 'adminToken'>, body: unknown): Promise<Answer> {
  return call(service, 'POST', '/v1/reference-values', { token: service.adminToken, body })
}

export function postCollateral(service: Pick<TestService, 'url' | 'adminToken'>, body: unknown): Promise<Answer> {
  return call(service, 'POST', '/v1/collateral', { token: service.adminToken, body })
}

/** Of the organization of the service’s admin token; its id. */
export async function addCollateral(
  service: Pick<TestService, 'url' | 'adminToken'>,
  wish: object = crlWish(),
): Promise<string> {
  const { status, body } = await postCollateral(service, wish)
  if (status !== 201 && status !== 200) throw new Error(`nothing imported: ${JSON.stringify(body)}`)
  return body.collateral.id
}

/** The same, of a trust anchor. */
export async function addAnchor(
  service: Pick<TestService, 'url' | 'adminToken'>,
  wish: object = psaWish(),
): Promise<string> {
  return idOf(await postAnchors(service, wish), 'trustAnchor')
}

export async function addReferenceValue(
  service: Pick<TestService, 'url' | 'adminToken'>,
  wish: object = referenceWish(),
): Promise<string> {
  return idOf(await postReferenceValues(service, wish), 'referenceValue')
}

function idOf({ status, body }: Answer, member: 'trustAnchor' | 'referenceValue'): string {
  if (status !== 201 && status !== 200) throw new Error(`nothing added: ${JSON.stringify(body)}`)
  return body.items[0][member].id
}
