import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toPem } from '../../protocol/attestation/x509/pem.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { addAnchor, postAnchors, psaWish } from '../support/attestation-inputs.ts'
import { derTime } from '../support/der.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeTenant, type Tenant } from '../support/tenants.ts'
import { makePath, testExtensions } from '../support/x509.ts'

let service: TestService
let tenant: Tenant
let other: Tenant
beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'tenant')
  other = await makeTenant(service, 'other')
})
afterAll(() => service.close())

const get = (path: string, of: Tenant = tenant) =>
  call(service, 'GET', `/v1/trust-anchors${path}`, { token: of.adminToken })
const remove = (id: string, of: Tenant = tenant) =>
  call(service, 'DELETE', `/v1/trust-anchors/${id}`, { token: of.adminToken })
const events = (type: string, of: Tenant = tenant) => eventsOf(service, of.organizationId, `trust_anchor.${type}`)
const pemOf = (...certificates: Uint8Array[]) => certificates.map((der) => toPem(der, 'CERTIFICATE')).join('')
/** A root and an intermediate of these names. */
function authorities(name: string) {
  const root = `${name} root`
  return makePath({
    root: { issuer: root, subject: root },
    intermediate: { issuer: root, subject: `${name} intermediate` },
  })
}

describe('trust anchors', () => {
  test('come as a bundle of certificates: what is its own issuer is a root, the others are intermediates', async () => {
    const { root, intermediate } = authorities('bundle')
    const pem = `subject=ignored\n${pemOf(root)}\n# and\n${pemOf(intermediate)}`
    const { status, body } = await postAnchors(tenant, { format: 'tpm2', pem })
    expect(status).toBe(201)
    const anchors = body.items.map((item: { trustAnchor: object }) => item.trustAnchor)
    expect(anchors).toMatchObject([
      { kind: 'root', name: 'bundle root', isGenuine: true, removedAt: null, createdAt: service.time.now },
      { kind: 'intermediate', name: 'bundle intermediate', der: toBase64url(intermediate) },
    ])
    expect(anchors[0].lookupId).toMatch(/^subject:[0-9a-f]{64}$/)
    expect((await get(`/${anchors[0].id}`)).body).toEqual(anchors[0])
    expect((await get('?format=tpm2&kind=root')).body.items).toContainEqual(anchors[0])
    expect((await get('?format=tpm2&kind=root')).body.items).not.toContainEqual(anchors[1])
    const [event] = (await events('added')).filter(({ subject }) => subject.trustAnchorId === anchors[0].id)
    const { lookupId, fingerprint } = anchors[0]
    expect(event?.data).toEqual({ format: 'tpm2', kind: 'root', lookupId, fingerprint, name: 'bundle root' })
  })

  test('are there once, however often and at once they are added, with one event', async () => {
    const { root } = authorities('same')
    const wish = { format: 'tpm2', pem: pemOf(root, root) }
    const answers = await Promise.all(Array.from({ length: 6 }, () => postAnchors(tenant, wish)))
    const ids = answers.flatMap(({ body }) =>
      body.items.map(({ trustAnchor }: { trustAnchor: { id: string } }) => trustAnchor.id),
    )
    expect(new Set(ids).size).toBe(1)
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 200, 200, 201])
    expect((await events('added')).filter(({ subject }) => subject.trustAnchorId === ids[0])).toHaveLength(1)
    const before = await databaseContents(service)
    expect((await postAnchors(tenant, wish)).status).toBe(200)
    expect(await databaseContents(service)).toEqual(before)
  })

  test('are removed once, stay to be seen, and may be added again as another one', async () => {
    const wish = psaWish()
    const id = await addAnchor(tenant, wish)
    service.time.now += 5
    const removals = await Promise.all([remove(id), remove(id), remove(id)])
    expect(removals.map(({ status }) => status)).toEqual([204, 204, 204])
    expect((await get(`/${id}`)).body).toMatchObject({ removedAt: service.time.now, isGenuine: true })
    expect((await get('?format=psa')).body.items.map((one: { id: string }) => one.id)).not.toContain(id)
    expect((await events('removed')).filter(({ subject }) => subject.trustAnchorId === id)).toHaveLength(1)
    expect(await addAnchor(tenant, wish)).not.toBe(id)
  })

  test('are another organization’s for nobody, who may have the same', async () => {
    const wish = psaWish()
    const id = await addAnchor(tenant, wish)
    const before = await databaseContents(service)
    expectRefusal(await get(`/${id}`, other), 404, 'not_found')
    expectRefusal(await remove(id, other), 404, 'not_found')
    expect((await get('', other)).body.items).toEqual([])
    expect(await databaseContents(service)).toEqual(before)
    expect(await addAnchor(other, wish)).not.toBe(id)
  })

  test('are listed page by page, newest first', async () => {
    const of = await makeTenant(service, newId())
    const ids = []
    for (let i = 0; i < 5; i++) ids.unshift(await addAnchor(of))
    const seen: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await get(`?limit=2${cursor && `&cursor=${cursor}`}`, of)
      seen.push(...body.items.map((one: { id: string }) => one.id))
      cursor = body.nextCursor
    }
    expect(seen).toEqual(ids)
  })

  test('that have expired are taken: an appraisal has its own clock', async () => {
    const { root } = makePath({ root: { notBefore: derTime(0), notAfter: derTime(86_400_000) } })
    expect((await postAnchors(tenant, { format: 'tpm2', pem: pemOf(root) })).status).toBe(201)
  })

  test('of one name are 16 at most', async () => {
    const of = await makeTenant(service, newId())
    const roots = Array.from({ length: 17 }, (_, i) => makePath({ root: { serialNumber: i + 1 } }).root)
    expect((await postAnchors(of, { format: 'tpm2', pem: pemOf(...roots.slice(0, 16)) })).status).toBe(201)
    expectRefusal(await postAnchors(of, { format: 'tpm2', pem: pemOf(roots[16] as Uint8Array) }), 400, 'malformed')
    expect((await events('added', of)).length).toBe(16)
  })
})

describe('what is no trust anchor is refused with what is wrong, and with it everything beside it', () => {
  const good = authorities('good')
  const { basicConstraints, keyUsage, nameConstraints } = testExtensions
  const signing = keyUsage('keyCertSign')
  const withRoot = (root: object) => makePath({ root }).root
  const [psaKey] = psaWish().keys as [{ instanceId: string; publicKey: string }]

  test.each<[string, RegExp, () => object]>([
    ['no PEM', /There are 0 certificates/, () => ({ pem: 'nothing' })],
    ['half a PEM', /not whole/, () => ({ pem: pemOf(good.root).slice(0, -20) })],
    ['a private key', /PRIVATE KEY/, () => ({ pem: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' })],
    ['no base64', /no base64/, () => ({ pem: '-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n' })],
    ['no certificate', /Certificate 2: /, () => ({ pem: pemOf(good.root, randomBytes(200)) })],
    ['bytes behind it', /Bytes follow/, () => ({ pem: pemOf(Buffer.concat([good.root, Buffer.of(0)])) })],
    ['a leaf', /An issuer is no authority/, () => ({ pem: pemOf(good.root, good.leaf) })],
    [
      'no CA',
      /\(authority\). An issuer is no authority/,
      () => ({ pem: pemOf(withRoot({ extensions: [basicConstraints(false)] })) }),
    ],
    [
      'a key that signs no certificates',
      /\(certificate_signing\). The key of an issuer is not for signing certificates/,
      () => ({ pem: pemOf(withRoot({ extensions: [basicConstraints(true), keyUsage('digitalSignature')] })) }),
    ],
    [
      'a key of which nobody says what it is for',
      /\(certificate_signing\)/,
      () => ({ pem: pemOf(withRoot({ extensions: [basicConstraints(true)] })) }),
    ],
    [
      'names that are constrained, which no path validator of ours understands',
      /\(name_constraints\)/,
      () => ({ pem: pemOf(withRoot({ extensions: [basicConstraints(true), signing, nameConstraints()] })) }),
    ],
    ['65 certificates', /There are 65/, () => ({ pem: pemOf(...Array.from({ length: 65 }, () => good.root)) })],
  ])('%s', async (_what, said, parts) => {
    const before = await databaseContents(service)
    const answer = await postAnchors(tenant, { format: 'tpm2', ...parts() })
    expectRefusal(answer, 400, 'malformed', 'pem')
    expect(answer.body.detail).toMatch(said)
    expect(await databaseContents(service)).toEqual(before)
  })

  test('a certificate that says it is its own issuer, and is signed by another key', async () => {
    const { root } = authorities('forged')
    const at = root.length - 4
    const forged = Buffer.from(root)
    forged[at] = (forged[at] as number) ^ 1
    const answer = await postAnchors(tenant, { format: 'tpm2', pem: pemOf(forged) })
    expectRefusal(answer, 400, 'malformed', 'pem')
    expect(answer.body.detail).toMatch(/not signed by its key/)
  })

  test.each<[string, object]>([
    ['a key that is none', { ...psaKey, publicKey: toBase64url(randomBytes(91)) }],
    ['a key with bytes behind it', { ...psaKey, publicKey: `${psaKey.publicKey}AAAA` }],
    ['an instance id that is none', { ...psaKey, instanceId: 'ff' }],
    ['an instance id in capitals', { ...psaKey, instanceId: psaKey.instanceId.toUpperCase().replace('01', '0A') }],
    ['a name that nobody sees', { ...psaKey, name: ' ' }],
    ['something else', { ...psaKey, trusted: true }],
  ])('%s', async (_what, key) => {
    const before = await databaseContents(service)
    const { status, body } = await postAnchors(tenant, { format: 'psa', keys: [psaKey, key] })
    expect([status, body.code]).toEqual([400, 'malformed'])
    expect(await databaseContents(service)).toEqual(before)
  })

  test.each([{ format: 'none' }, { format: 'psa', keys: [] }, { format: 'tpm2', keys: [] }, []])('%j', async (body) => {
    expect(await postAnchors(tenant, body)).toMatchObject({ status: 400, body: { code: 'malformed' } })
  })
})
