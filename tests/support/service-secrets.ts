import { listKeks } from '../../database/repositories/service-keys.ts'
import { encode, fromBase64url, u64 } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { keyringPurposes, openKeyring, type WrappedKek } from '../../runtime/custody/keyring.ts'
import { sealPurposes } from '../../runtime/custody/sealed-record.ts'
import { signingKeyPlace } from '../../runtime/custody/service-keys.ts'
import { createRootKeyWrapper } from '../../runtime/custody/wrapper.ts'
import { openTemporalRecord } from '../../runtime/temporal/temporal-record.ts'
import type { Secret } from './find-secrets.ts'
import { crypto, type TestService } from './service.ts'

/** What the service itself must keep: from its root key down to the temporal keys that it has now. */
export async function listServiceSecrets(service: TestService, rootKey: Uint8Array): Promise<Secret[]> {
  const secrets: Secret[] = [
    { what: 'root key', value: rootKey },
    { what: 'password of the database', value: String(service.database.login.password) },
  ]
  const wrapper = createRootKeyWrapper(crypto, rootKey)
  const keks: WrappedKek[] = []
  for (const row of await service.database.open('qflare_worker', 1).withoutOrganization(listKeks)) {
    const purpose = keyringPurposes.find((name) => sealPurposes[name] === row.purpose)
    if (purpose === undefined) throw new Error(`Purpose ${row.purpose} is not known.`)
    const primaryKey = encode('kek', u64(row.purpose), u64(row.version))
    const place = { organizationId: NIL_UUID, table: 'kek_version', column: 'sealed', primaryKey }
    secrets.push({ what: `key-encryption key ${purpose}`, value: await wrapper.unwrap(row.sealed, place) })
    keks.push({ ...row, purpose })
  }
  const keyring = await openKeyring(crypto, wrapper, keks)
  const { rows } = await service.database.sql.query<{ kid: string; key_use: string; sealed_seed: Buffer }>(
    'select kid, key_use, sealed_seed from signing_key where sealed_seed is not null',
  )
  for (const { kid, key_use, sealed_seed } of rows) {
    const value = await keyring.open('signingKey', signingKeyPlace(kid), Uint8Array.from(sealed_seed))
    secrets.push({ what: `signing key ${key_use}`, value })
  }
  for (const name of await service.store.list()) {
    const record = (await service.store.find(name)) ?? new Uint8Array(0)
    secrets.push({ what: `${name.kind} key ${name.number}`, value: await openTemporalRecord(keyring, name, record) })
  }
  return secrets
}

/** Members of messages, and what in their text is secret; a token's id is none, and the pin of an enrolment token is public. */
const secretMembers: Record<string, (text: string) => string | undefined> = {
  token: (text) => text.split('.')[1],
  challenge: (text) => text,
  activatedSecret: (text) => text,
  confirmation: (text) => text,
  nonce: (text) => text,
  proof: (text) => text,
  // Its last 32 bytes are the MAC; what stands before are ids and a time.
  accessToken: (text) => text.slice(-43),
}

/** Whatever is secret in what goes over the wire, in either direction, from now on; with `headers` on every request. */
export function recordWireSecrets(
  fetchReally: typeof fetch,
  secrets: Secret[],
  headers: Record<string, string>,
): typeof fetch {
  function record(what: string, value: unknown): void {
    if (typeof value !== 'object' || value === null) return
    for (const [member, inner] of Object.entries(value)) {
      const text = typeof inner === 'string' ? secretMembers[member]?.(inner) : undefined
      if (text !== undefined) secrets.push({ what: `${member} of ${what}`, value: decode(text) })
      record(what, inner)
    }
  }
  return async (input, init) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input)
    const what = `${init?.method} ${pathname}`
    const sent = new Headers(init?.headers)
    for (const [name, value] of Object.entries(headers)) sent.set(name, value)
    const secret = sent.get('authorization')?.split('.')[1]
    if (secret !== undefined) secrets.push({ what: `credentials of ${what}`, value: decode(secret) })
    if (typeof init?.body === 'string') record(what, JSON.parse(init.body))
    const answer = await fetchReally(input, { ...init, headers: sent })
    const text = await answer.clone().text()
    if (text.startsWith('{')) record(`the answer to ${what}`, JSON.parse(text))
    return answer
  }
}

/** As it was before it was text; what is cut out of the middle of an encoding may be none of its own, and stays text. */
function decode(text: string): Uint8Array | string {
  try {
    return fromBase64url(text)
  } catch {
    return text
  }
}
