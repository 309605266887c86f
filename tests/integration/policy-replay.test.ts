import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { call, establish } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { addAnchor, addReferenceValue, authoritiesWish } from '../support/attestation-inputs.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { enrollTpm, otherPcrs, quoteOf, tpmNamed, tpmReference } from '../support/tpm/device.ts'
import { certifyEk } from '../support/tpm/ek-authority.ts'

/** What the service decided comes out again of what it kept, offline, whatever became of policy, anchors and values meanwhile. */

const strict = JSON.parse(readFileSync(join(import.meta.dirname, '../../deploy/policies/tpm-strict.json'), 'utf8'))
const tpm = tpmNamed('TPM of a replay')

let service: TestService
let folder: string
const made: string[] = []
beforeAll(async () => {
  service = await startTestService()
  folder = mkdtempSync(join(tmpdir(), 'qflare-replay-'))
  const { root } = certifyEk(tpm)
  await asAdmin('POST', '/v1/policies', { name: 'fleet', policy: strict })
  made.push(`/v1/trust-anchors/${await addAnchor(service, authoritiesWish(root))}`)
  const value = { format: 'tpm2', name: 'boot', values: [tpmReference] }
  made.push(`/v1/reference-values/${await addReferenceValue(service, value)}`)
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const asAdmin = (method: string, path: string, body?: object) =>
  call(service, method, path, { token: service.adminToken, body })

test('a verdict is replayed from its bundle: tier and findings, at the enrolment, later, and of what was refused later', async () => {
  const { answer, identity } = await enrollTpm(service, tpm, 'fleet')
  expect(answer.body.attestation).toMatchObject({ tier: 'affirming', policyId: 'fleet@1' })
  const device = { deviceId: answer.body.deviceId, ...identity }
  const session = { ...device, ...(await establish(service, device)) }
  const good = await attest(service, session, (binding) => [quoteOf(tpm, binding)])
  const bad = await attest(service, session, (binding) => [quoteOf(tpm, binding, { pcrs: otherPcrs })])
  const results = [answer, good, bad].map(({ body }) => body.attestation)
  expect(results.map(({ tier }) => tier)).toEqual(['affirming', 'affirming', 'contraindicated'])

  await asAdmin('POST', '/v1/policies', { name: 'fleet', policy: { ...strict, enroll: ['none'] } })
  service.time.now += 60_000
  for (const path of made) expect((await asAdmin('DELETE', path)).status).toBe(204)

  const policy = join(folder, 'policy.json')
  writeFileSync(policy, JSON.stringify((await asAdmin('GET', '/v1/policies/fleet?version=1')).body.policy))
  for (const [index, { id, tier }] of results.entries()) {
    const shown = (await asAdmin('GET', `/v1/attestations/${id}`)).body
    const bundle = (await asAdmin('GET', `/v1/attestations/${id}/evidence`)).body
    expect(bundle.result).toMatchObject({ tier, policyId: 'fleet@1', policy: strict })
    const file = join(folder, `evidence-${index}.json`)
    writeFileSync(file, JSON.stringify(bundle))
    const run = await runHere(['policy', 'test', policy, file, '--json'])
    const report = JSON.parse(run.stdout)
    expect([run.exitCode, report.tier, report.recorded]).toEqual([
      tier === 'affirming' ? 0 : 1,
      tier,
      { policyId: 'fleet@1', tier },
    ])
    expect(report.appraisals.tpm2.findings).toEqual(bundle.result.findings.tpm2)
    expect(shown.findings).toEqual(bundle.result.findings)
  }
})
