import { test } from 'vitest'
import { startTestService } from '../support/service.ts'
import { call, createToken, startEnrollment, signCompletion, makeIdentity } from '../support/api.ts'
import { sendRaw, databaseContents } from '../support/refusals.ts'
import { gzipSync } from 'node:zlib'
test('probe', async () => {
  const service = await startTestService()
  const variants: [string, (b: any) => string][] = [
    ['meta nul', (b) => JSON.stringify({ ...b, metadata: { a: 'x\u0000' } })],
    ['meta nul key', (b) => JSON.stringify({ ...b, metadata: { 'a\u0000': 1 } })],
    ['meta surrogate', (b) => JSON.stringify({ ...b, metadata: { a: '\ud800' } })],
    ['meta surrogate key', (b) => JSON.stringify({ ...b, metadata: { '\ud800': 1 } })],
    ['meta 10000', (b) => JSON.stringify({ ...b, metadata: Object.fromEntries(Array.from({ length: 10000 }, (_, i) => ['k' + i, i])) })],
    ['meta 33', (b) => JSON.stringify({ ...b, metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => ['k' + i, i])) })],
    ['meta 1e999', (b) => JSON.stringify({ ...b, metadata: { a: 1 } }).replace('"a":1', '"a":1e999')],
    ['meta 1e308', (b) => JSON.stringify({ ...b, metadata: { a: 1 } }).replace('"a":1', '"a":1e308')],
    ['meta empty key', (b) => JSON.stringify({ ...b, metadata: { '': 1 } })],
    ['evidence surrogate', (b) => JSON.stringify({ ...b, evidence: [{ format: 'none', claims: { a: '\ud800' } }] })],
    ['evidence surrogate key', (b) => JSON.stringify({ ...b, evidence: [{ format: 'none', claims: { '\ud800': 1 } }] })],
    ['evidence surrogate key 2', (b) => JSON.stringify({ ...b, evidence: [{ format: 'none', '\ud800': 1 }] })],
    ['evidence nul', (b) => JSON.stringify({ ...b, evidence: [{ format: 'none', claims: { a: '\u0000' } }] })],
    ['evidence inf', (b) => JSON.stringify({ ...b, evidence: [{ format: 'none', claims: { a: 7 } }] }).replace('"a":7', '"a":1e999')],
    ['evidence tpm', (b) => JSON.stringify({ ...b, evidence: [{ format: 'tpm' }] })],
    ['evidence big', (b) => JSON.stringify({ ...b, evidence: [{ format: 'none', claims: { a: 'x'.repeat(900000) } }] })],
    ['name nul', (b) => JSON.stringify({ ...b, name: 'a\u0000' })],
    ['name surrogate', (b) => JSON.stringify({ ...b, name: 'a\ud800' })],
    ['name 128 astral', (b) => JSON.stringify({ ...b, name: '😀'.repeat(64) })],
    ['name space', (b) => JSON.stringify({ ...b, name: ' ' })],
    ['alg mismatch', (b) => JSON.stringify({ ...b, identityKey: { ...b.identityKey, alg: 'ML-DSA-87' } })],
  ]
  for (const [name, f] of variants) {
    const { credential } = await createToken(service)
    const started = await startEnrollment(service, credential)
    const id = makeIdentity()
    let body
    const base = signCompletion(started, id.identityKey)
    const changed = JSON.parse(f(base))
    try { const re = signCompletion(started, id.identityKey, { name: changed.name, evidence: changed.evidence }); changed.signature = re.signature } catch (e) { console.log(name, 'cannot sign', (e as Error).message) }
    let text = f(changed)
    const before = await databaseContents(service)
    const a = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { raw: text })
    const after = await databaseContents(service)
    const diff = Object.keys(after).filter((k) => after[k] !== before[k])
    console.log(name, a.status, a.body.code, a.body.field, a.body.detail, diff.join())
  }
  for (const [m, p, o] of [
    ['GET', '/v1/devices/%E0%A4%A', {}], ['GET', '/v1/devices/%', {}], ['GET', '/v1/%zz', {}], ['GET', '/v1/trust?after=%zz', {}], ['GET', '/v1/trust?after=', {}], ['GET', '/v1/trust?after=1e2', {}], ['GET', '/v1/trust?after=0x10', {}], ['GET', '/v1/trust?after=1.5', {}],['GET', '/v1/trust?after=9007199254740993', {}],
    ['GET', '/v1/trust?__proto__=1', {}], ['GET', '/v1/buckets?x=1', {}], ['GET', '/v1/buckets?x=1&x=2', {}], ['GET','/V1/TRUST',{}], ['GET','/v1/trust/',{}], ['GET','//v1/trust',{}],
    ['GET','/live?x=1&x=2',{}],
    ['HEAD', '/v1/trust', {}], ['HEAD', '/v1/exchanges', {}], ['OPTIONS', '/v1/trust', {}], ['OPTIONS','*',{}], ['TRACE', '/v1/trust', {}], ['PUT', '/v1/devices', {}], ['DELETE','/v1/sessions',{}],
    ['GET', '/v1/trust', { headers: { 'x-request-id': '01890000-0000-7000-8000-000000000000' } }],
    ['GET', '/v1/trust', { headers: { 'x-request-id': 'A1890000-0000-7000-8000-00000000000A' } }],
    ['GET', '/v1/trust', { headers: { 'x-big': 'x'.repeat(9000) } }],
    ['GET', '/v1/trust?' + 'x'.repeat(9000), {}],
    ['POST', '/v1/exchanges', { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body: [gzipSync('{}')] }],
    ['POST', '/v1/exchanges', { headers: { 'content-type': 'application/json', 'content-encoding': 'identity' }, body: ['{}'] }],
    ['POST', '/v1/exchanges', { headers: { 'content-type': 'application/json; charset="utf-8"' }, body: ['{}'] }],
    ['POST', '/v1/exchanges', { headers: { 'content-type': 'application/json;charset=utf-8' }, body: ['{}'] }],
    ['POST', '/v1/exchanges', { headers: { 'content-type': ['application/json','text/plain'] }, body: ['{}'] }],
    ['GET', '/v1/trust', { headers: {'content-type': 'application/json'}, body: ['{}'] }],
    ['GET', '/v1/trust', { headers: { host: '' } }],
  ] as any) {
    try {
    const a = await sendRaw(service, m, p, o)
    console.log(m, p.slice(0, 40), JSON.stringify(o).slice(0,80), a.status, JSON.stringify(a.body).slice(0, 160), 'allow', a.headers.get('allow'), a.headers.get('x-request-id'))
    } catch (e) { console.log(m, p.slice(0,40), (e as Error).message) }
  }
  const a = await sendRaw(service, 'GET', '/v1/trust'); console.log(a.headers)
  await service.close()
})
