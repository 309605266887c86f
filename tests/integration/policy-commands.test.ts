import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EvidenceBundle, toWireBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { policySchema } from '../../protocol/attestation/policy-schema.ts'
import { bundleOf } from '../support/evidence-bundles.ts'
import { createPolicy, noneDocument } from '../support/policies.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeEvidence, testPcrs } from '../support/tpm/evidence.ts'

let service: TestService
let folder: string
const inFolder = (name: string) => join(folder, name)

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-policies-'))
  writeFileSync(inFolder('admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const qflare = (args: string[]) =>
  runHere(args, { env: { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: inFolder('admin') } })
/** Where no server is, and no token. */
const offline = (args: string[]) =>
  runHere(args, { env: { QFLARE_URL: 'http://127.0.0.1:1', QFLARE_ADMIN_TOKEN_FILE: inFolder('nowhere') } })

function write(name: string, value: unknown): string {
  writeFileSync(inFolder(name), typeof value === 'string' ? value : JSON.stringify(value))
  return inFolder(name)
}

describe('qflare policy create, list and show', () => {
  it('write versions, and show them as they are stored', async () => {
    const file = write('edge.json', { ...noneDocument, description: 'of the edge' })
    for (const id of ['edge@1', 'edge@1']) {
      const run = await qflare(['policy', 'create', 'edge', file])
      expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`${id} is the newest version of edge`) })
    }
    write('edge.json', { ...noneDocument, description: 'of the edge, 2' })
    const made = JSON.parse((await qflare(['policy', 'create', 'edge', file, '--json'])).stdout)
    expect(made).toMatchObject({ id: 'edge@2', version: 2 })
    const shown = await qflare(['policy', 'show', 'edge@2', '--json'])
    expect(JSON.parse(shown.stdout)).toEqual(made)
    expect((await qflare(['policy', 'show', 'edge@1'])).stdout).toMatch(/^policy +edge@1\n[\s\S]*"of the edge"/)
    expect((await qflare(['policy', 'show', 'none'])).stdout).toMatch(/^policy +none\nmade +built in\n/)
    const list = await qflare(['policy', 'list'])
    expect(list.stdout).toMatch(/^ID +MADE +DESCRIPTION\nedge@2 .* of the edge, 2$/)
  })

  it.each([
    [2, 'NAME is that of a policy', ['create', 'Edge', 'x.json']],
    [2, 'without a version', ['create', 'edge@3', 'x.json']],
    [4, 'Cannot read', ['create', 'edge', 'missing.json']],
    [1, 'not_found', ['show', 'nobody']],
    [2, 'NAME is that of a policy', ['show', 'a b']],
  ])('end with %i and say %j: %j', async (exitCode, said, args) => {
    expect(await qflare(['policy', ...args])).toMatchObject({ exitCode, stderr: expect.stringContaining(said) })
  })

  it('say what is wrong with a file', async () => {
    const wrong = write('wrong.json', { ...noneDocument, enroll: ['contraindicated'] })
    expect(await qflare(['policy', 'create', 'edge', wrong])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('policy.enroll.0'),
    })
    for (const text of ['{', '7', 'null', '"text"']) {
      expect(await qflare(['policy', 'create', 'edge', write('wrong.json', text)]), text).toMatchObject({ exitCode: 4 })
    }
  })
})

describe('qflare policy schema', () => {
  it('prints the schema of a policy, without a server', async () => {
    expect(JSON.parse((await offline(['policy', 'schema'])).stdout)).toEqual(policySchema())
  })
})

describe('qflare policy test', () => {
  const bundle: EvidenceBundle = {
    v: 1,
    evidence: [{ format: 'none' }],
    binding: new Uint8Array(32),
    at: 1_795_318_200_000,
    attesters: {},
    anchors: {},
    referenceValues: {},
  }
  const evidence = () => write('evidence.json', toWireBundle(bundle))

  it('says by its exit code whether a device would enrol, with files alone and without a server', async () => {
    const open = write('open.json', noneDocument)
    const strict = write('strict.json', { ...noneDocument, enroll: ['affirming'] })
    expect(await offline(['policy', 'test', open, evidence()])).toEqual({
      exitCode: 0,
      stdout: `none: none; nothing was found\n${open}: none. A device with this evidence enrols.`,
      stderr: '',
    })
    expect(await offline(['policy', 'test', strict, evidence()])).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('does not enrol'),
    })
    expect((await offline(['policy', 'test', 'none', evidence()])).exitCode).toBe(0)
  })

  it('says of a TPM line by line what was found against what was wanted', async () => {
    const { evidence: quoted, anchors, expected } = makeEvidence()
    const { 4: loader, ...others } = Object.fromEntries(
      Object.entries(testPcrs.sha256 ?? {}).map(([pcr, value]) => [pcr, [value]]),
    )
    const referenceValues = { boot: [{ pcrs: { sha256: { ...others, 4: ['00'.repeat(32)] } } }] }
    const file = write('tpm.json', toWireBundle(bundleOf(quoted, { anchors, expected, referenceValues })))
    const strict = await offline(['policy', 'test', 'deploy/policies/tpm-strict.json', file])
    expect(strict.exitCode).toBe(1)
    expect(strict.stdout.split('\n')).toEqual([
      'tpm2.identity  instance-identity 2, affirming',
      expect.stringMatching(/^ {2}The TPM with the EK [0-9a-f]{64} holds the AK /),
      'tpm2.hardware  hardware 2, affirming',
      expect.stringMatching(/^ {2}The manufacturer of the TPM is id:00001014, /),
      'tpm2.pcrs  executables 96, contraindicated',
      `  No reference value allows ${loader?.[0]} in PCR 4 (sha256).`,
      'tpm2: contraindicated; instance-identity 2, hardware 2, executables 96',
      'deploy/policies/tpm-strict.json: contraindicated. A device with this evidence does not enrol.',
    ])
    expect((await offline(['policy', 'test', 'deploy/policies/tpm-observe.json', file])).exitCode).toBe(0)
  })

  it('fetches a policy that is named', async () => {
    await createPolicy(service, 'fetched', { enroll: ['affirming'] })
    await createPolicy(service, 'fetched')
    expect((await qflare(['policy', 'test', 'fetched@1', evidence()])).exitCode).toBe(1)
    const run = await qflare(['policy', 'test', 'fetched', evidence(), '--json'])
    expect(JSON.parse(run.stdout)).toEqual({
      policy: 'fetched@2',
      enrolls: true,
      tier: 'none',
      appraisals: { none: { tier: 'none', vector: {}, findings: [] } },
      recorded: null,
      missing: [],
    })
  })

  it('says what the service found, and which reference values are not there', async () => {
    const policy = write('named.json', {
      ...noneDocument,
      evidence: { none: { rules: {}, referenceValues: ['kernel'] } },
    })
    const result = { tier: 'warning', policyId: 'edge@7', policy: noneDocument, findings: {} } as const
    const run = await offline(['policy', 'test', policy, write('recorded.json', toWireBundle({ ...bundle, result }))])
    expect(run.stdout).toContain('The service found warning, by edge@7.')
    expect(run.stdout).toContain('Of none reference values kernel nothing is in')
  })

  it.each([
    [4, 'no policy that this command knows', { ...noneDocument, v: 2 }, undefined],
    [4, 'Not a bundle of evidence', noneDocument, { ...noneDocument }],
    [4, 'is not JSON', noneDocument, '{'],
    [1, 'exactly one piece of evidence', noneDocument, toWireBundle({ ...bundle, evidence: [{ format: 'x' }] })],
  ])('ends with %i and says %j', async (exitCode, said, policy, given) => {
    const file = given === undefined ? evidence() : write('given.json', given)
    const run = await offline(['policy', 'test', write('policy.json', policy), file])
    expect(run).toMatchObject({ exitCode, stdout: '', stderr: expect.stringContaining(said) })
  })

  it('does not let evidence steer a terminal', async () => {
    const result = { tier: 'none', policyId: '\u001b[2Jx', policy: noneDocument, findings: {} } as const
    const run = await offline(['policy', 'test', 'none', write('steer.json', toWireBundle({ ...bundle, result }))])
    expect(run.stdout).toContain('\ufffd[2Jx')
    expect(run.stdout).not.toContain('\u001b')
  })
})
