import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Primitives } from '../../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureAlgorithms } from '../../protocol/suites.ts'
import * as check from './protocol-vector-checks.ts'

/** One case of a foreign vector file, as far as the protocol's own API can say it. */
export interface ForeignCase {
  readonly name: string
  /** Throws when the provider does not do what the case says. */
  readonly run: (crypto: Primitives) => void
  /** Why a provider cannot be asked, or undefined when it can. */
  readonly inexpressible: (crypto: Primitives) => string | undefined
}

export interface ForeignFile {
  readonly path: string
  readonly cases: readonly ForeignCase[]
}

type Fields = Record<string, unknown>
interface Group extends Fields {
  tests: Fields[]
}

/** Every Wycheproof and ACVP file of ML-KEM-1024 and ML-DSA below `folder` that has cases of a kind that is known here. */
export function findForeignFiles(folder: string): ForeignFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.json'))
    .sort()
    .flatMap((path) => {
      const cases = readCases(join(folder, path))
      return cases === undefined ? [] : [{ path, cases }]
    })
}

/** Undefined for a file of another kind; an empty list where the kind is known but no case was found. */
function readCases(path: string): ForeignCase[] | undefined {
  const content = unwrap(JSON.parse(readFileSync(path, 'utf8')))
  if (content === undefined) return undefined
  if (typeof content.schema === 'string') return readWycheproof(content)
  return readAcvp(content, path)
}

/** ACVP sessions wrap the object: `[{"acvVersion": …}, {…}]`. */
function unwrap(content: unknown): (Fields & { testGroups: Group[] }) | undefined {
  const value: unknown = Array.isArray(content) ? content.at(-1) : content
  const isVectors = typeof value === 'object' && value !== null && 'testGroups' in value && 'algorithm' in value
  return isVectors ? (value as Fields & { testGroups: Group[] }) : undefined
}

const wycheproofKinds: Record<string, (test: Fields, group: Group, alg: string) => ForeignCase | undefined> = {
  mldsa_sign_seed_schema: (test, group, alg) => signCase(test, group, alg),
  mldsa_verify_schema: (test, group, alg) =>
    verifyCase(test, { alg, publicKey: group.publicKey ?? group.public_key, isValid: test.result === 'valid' }),
  mlkem_keygen_seed_test_schema: (test) => kemCase(test, 'keygen'),
  mlkem_decaps_seed_test_schema: (test) => kemCase(test, 'decaps'),
  mlkem_test_schema: (test, group) => kemCase(test, group.type === 'MLKEMEncapsTest' ? 'encaps' : 'decaps'),
  mlkem_encaps_test_schema: (test) => kemCase(test, 'encaps'),
  mlkem_encaps_seed_test_schema: (test) => kemCase(test, 'encaps'),
}

function readWycheproof(content: Fields & { testGroups: Group[] }): ForeignCase[] | undefined {
  const kind = String(content.schema).replace(/(_v1)?\.json$/, '')
  const toCase = wycheproofKinds[kind.replace(/^ml_dsa/, 'mldsa')]
  const { algorithm, testGroups } = content
  const groups =
    algorithm === 'ML-KEM' ? testGroups.filter((group) => group.parameterSet === 'ML-KEM-1024') : testGroups
  if (toCase === undefined || groups.length === 0) return undefined
  return groups.flatMap((group) => group.tests.flatMap((test) => toCase(test, group, String(algorithm)) ?? []))
}

function kemCase(test: Fields, kind: 'keygen' | 'decaps' | 'encaps'): ForeignCase {
  const isValid = test.result !== 'invalid'
  const run = (crypto: Primitives) => {
    if (kind === 'encaps') check.checkEncapsulationKey(crypto, hex(test.ek), isValid)
    else {
      const secret = kind === 'keygen' ? undefined : { ciphertext: hex(test.c), sharedSecret: hex(test.K) }
      const encapsulationKey = test.ek === undefined ? undefined : hex(test.ek)
      check.checkDecapsulationKey(crypto, { seed: hex(test.seed), encapsulationKey, isValid, ...secret })
    }
  }
  return { name: nameOf(test), run, inexpressible: () => undefined }
}

function signCase(test: Fields, group: Group, alg: string): ForeignCase {
  const isValid = test.result === 'valid'
  const context = hex(test.ctx ?? '')
  const run = (crypto: Primitives) =>
    check.checkSigningKey(crypto, asAlgorithm(alg), {
      seed: hex(group.privateSeed),
      publicKey: isValid ? hex(group.publicKey) : undefined,
      message: hex(test.msg),
      context,
      signature: isValid ? hex(test.sig) : undefined,
    })
  const inexpressible = (crypto: Primitives) =>
    test.msg === undefined ? 'only mu is given' : check.inexpressibleContext(crypto, context)
  return { name: nameOf(test), run, inexpressible }
}

function verifyCase(
  test: Fields,
  expected: { alg: string; publicKey: unknown; isValid: boolean; message?: unknown; context?: unknown; sig?: unknown },
): ForeignCase {
  const context = hex(expected.context ?? test.ctx ?? '')
  const run = (crypto: Primitives) =>
    check.checkVerificationKey(crypto, asAlgorithm(expected.alg), {
      publicKey: hex(expected.publicKey),
      message: hex(expected.message ?? test.msg),
      context,
      signature: hex(expected.sig ?? test.sig),
      isValid: expected.isValid,
    })
  return { name: nameOf(test), run, inexpressible: (crypto) => check.inexpressibleContext(crypto, context) }
}

function readAcvp(content: Fields & { testGroups: Group[] }, path: string): ForeignCase[] | undefined {
  const kind = `${String(content.algorithm)} ${String(content.mode)}`
  const toCase = acvpKinds[kind]
  if (toCase === undefined || /^(expectedResults|registration|validation)\.json$/.test(basename(path))) return undefined
  const results = resultsBeside(path)
  return content.testGroups.flatMap((group) => {
    const isOurs = group.parameterSet === 'ML-KEM-1024' || String(group.parameterSet) in signatureAlgorithms
    return isOurs ? group.tests.flatMap((test) => toCase({ ...test, ...results(group, test) }, group) ?? []) : []
  })
}

/** The answers to a prompt, which stand in a file of their own; none for an internal projection, which holds both. */
function resultsBeside(path: string): (group: Group, test: Fields) => Fields {
  const answers = join(dirname(path), 'expectedResults.json')
  if (basename(path) !== 'prompt.json') return () => ({})
  if (!existsSync(answers)) throw new Error(`${path} has no expectedResults.json beside it.`)
  const content = unwrap(JSON.parse(readFileSync(answers, 'utf8')))
  const tests = content?.testGroups.flatMap((group) => group.tests.map((test) => [idOf(group, test), test] as const))
  const byId = new Map(tests)
  return (group, test) => {
    const result = byId.get(idOf(group, test))
    if (result === undefined) throw new Error(`${answers} has no result of case ${nameOf(test)}.`)
    return result
  }
}

const acvpKinds: Record<string, (test: Fields, group: Group) => ForeignCase | undefined> = {
  'ML-KEM keyGen': (test) => ({
    name: nameOf(test),
    run: (crypto) =>
      check.checkDecapsulationKey(crypto, { seed: hex(test.d, test.z), encapsulationKey: hex(test.ek), isValid: true }),
    inexpressible: () => undefined,
  }),
  'ML-DSA keyGen': (test, { parameterSet }) => ({
    name: nameOf(test),
    run: (crypto) =>
      check.checkPublicKey(crypto, asAlgorithm(parameterSet), { seed: hex(test.seed), publicKey: hex(test.pk) }),
    inexpressible: () => undefined,
  }),
  'ML-KEM encapDecap': (test, group) => {
    const isEncapsulation = group.function === 'encapsulation' || group.function === 'encapsulationKeyCheck'
    const seeded = test.d !== undefined && test.z !== undefined
    const run = (crypto: Primitives) => {
      if (isEncapsulation) check.checkEncapsulationKey(crypto, hex(test.ek ?? group.ek), test.testPassed !== false)
      else {
        const secret = { ciphertext: hex(test.c), sharedSecret: hex(test.k) }
        const seed = hex(test.d, test.z)
        check.checkDecapsulationKey(crypto, { seed, encapsulationKey: undefined, isValid: true, ...secret })
      }
    }
    const canRun = isEncapsulation || (group.function === 'decapsulation' && seeded)
    return { name: nameOf(test), run, inexpressible: () => (canRun ? undefined : 'a private key that is no seed') }
  },
  'ML-DSA sigVer': (test, group) => {
    const { message, context, signature: sig } = test
    const publicKey = test.pk ?? group.pk
    const isPure = group.signatureInterface === 'external' && (group.preHash ?? 'pure') === 'pure'
    if (!isPure) {
      return { name: nameOf(test), run: () => undefined, inexpressible: () => 'pre-hashed, or below the interface' }
    }
    const alg = String(group.parameterSet)
    return verifyCase(test, { alg, publicKey, isValid: test.testPassed === true, message, context, sig })
  },
}

function idOf(group: Group, test: Fields): string {
  return `${String(group.tgId)}/${String(test.tcId)}`
}

function nameOf(test: Fields): string {
  const remark = [test.comment, test.reason].find((text) => typeof text === 'string')
  return `${String(test.tcId)} ${remark ?? ''}`.trim()
}

function asAlgorithm(name: unknown): SignatureAlgorithm {
  if (typeof name === 'string' && name in signatureAlgorithms) return name as SignatureAlgorithm
  throw new Error(`No signature algorithm: ${String(name)}`)
}

function hex(...texts: unknown[]): Uint8Array {
  const text = texts.map((one) => (typeof one === 'string' ? one : 'nothing')).join('')
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new Error(`Not hexadecimal: ${text.slice(0, 40)}`)
  return Uint8Array.from(Buffer.from(text, 'hex'))
}
