import fc from 'fast-check'
import type { Json } from '../../protocol/encoding.ts'

/** One change of JSON whose texts are mostly bytes in base64url. Which place it is at is counted modulo the places that there are. */
export type JsonMutation = { at: number } & (
  | { kind: 'bytes'; change: ByteChange; offset: number; length: number; value: number }
  | { kind: 'text'; offset: number; value: number }
  | { kind: 'replace'; by: Json }
  | { kind: 'remove' | 'repeat' }
  | { kind: 'add'; name: string; by: Json }
  /** The member of the same name of another one. */
  | { kind: 'swap'; other: number }
)
const byteChanges = ['flip', 'set', 'insert', 'delete', 'truncate', 'append', 'repeat'] as const
type ByteChange = (typeof byteChanges)[number]

const nat = fc.nat({ max: 1_000_000 })
const oddValues: fc.Arbitrary<Json> = fc.constantFrom<Json[]>(
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'A',
  'AA',
  '!',
  '00'.repeat(32),
  [],
  {},
  [null],
  { 0: '' },
  'A'.repeat(5000),
)
/** Lengths, counts and selectors are what a parser trips over: the ends of their ranges are likelier than chance. */
const byteValue = fc.oneof(fc.constantFrom(0, 1, 2, 0x10, 0x7f, 0x80, 0xfe, 0xff), fc.nat({ max: 255 }))

export const jsonMutation: fc.Arbitrary<JsonMutation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('bytes' as const),
      at: nat,
      change: fc.constantFrom(...byteChanges, 'flip' as const, 'flip' as const, 'set' as const, 'set' as const),
      offset: nat,
      length: fc.integer({ min: 1, max: 40 }),
      value: byteValue,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('text' as const), at: nat, offset: nat, value: byteValue }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace' as const), at: nat, by: oddValues }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('remove' as const, 'repeat' as const), at: nat }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      at: nat,
      name: fc.constantFrom('0', '24', 'sha1', 'sha256', 'format', 'pcr', '__proto__', 'toString'),
      by: oddValues,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('swap' as const), at: nat, other: nat }) },
)

type Members = Record<string, Json>

/** A changed copy; `others` are what members are taken from. */
export function mutateJson(given: Members, mutations: readonly JsonMutation[], others: readonly Members[]): Members {
  const changed = structuredClone(given)
  for (const mutation of mutations) applyMutation(changed, mutation, others)
  return changed
}

interface Place {
  holder: Members | Json[]
  key: string
  path: readonly string[]
}

function placesIn(value: Json, path: readonly string[] = []): Place[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => {
    const place = { holder: value, key, path: [...path, key] }
    return [place, ...placesIn(member, place.path)]
  })
}

function applyMutation(root: Members, mutation: JsonMutation, others: readonly Members[]): void {
  const places = placesIn(root).filter(({ holder, key }) => isFitting(mutation, memberOf(holder, key)))
  const place = places[mutation.at % Math.max(1, places.length)]
  if (place === undefined) return
  const { holder, key, path } = place
  const value = memberOf(holder, key)
  switch (mutation.kind) {
    case 'bytes':
      return setMember(
        holder,
        key,
        changeBytes(Buffer.from(value as string, 'base64url'), mutation).toString('base64url'),
      )
    case 'text': {
      const text = value as string
      const at = mutation.offset % (text.length + 1)
      return setMember(holder, key, text.slice(0, at) + String.fromCharCode(mutation.value) + text.slice(at + 1))
    }
    case 'replace':
      return setMember(holder, key, structuredClone(mutation.by))
    case 'remove':
      if (Array.isArray(holder)) holder.splice(Number(key), 1)
      else delete holder[key]
      return
    case 'repeat':
      if (Array.isArray(holder)) holder.push(structuredClone(value) as Json)
      return
    case 'add':
      if (Array.isArray(value)) value.push(structuredClone(mutation.by))
      else setMember(value as Members, mutation.name, structuredClone(mutation.by))
      return
    case 'swap': {
      const other = others[mutation.other % Math.max(1, others.length)]
      const theirs = path.reduce<Json | undefined>((at, name) => (isHolder(at) ? memberOf(at, name) : undefined), other)
      if (theirs !== undefined) setMember(holder, key, structuredClone(theirs))
    }
  }
}

function isFitting({ kind }: JsonMutation, value: Json | undefined): boolean {
  if (kind === 'bytes' || kind === 'text') return typeof value === 'string'
  return kind !== 'add' || isHolder(value)
}

function isHolder(value: Json | undefined): value is Members | Json[] {
  return typeof value === 'object' && value !== null
}

function memberOf(holder: Members | Json[], key: string): Json | undefined {
  return Object.hasOwn(holder, key) ? (holder as Members)[key] : undefined
}

/** As JSON.parse does it, whatever the name is. */
function setMember(holder: Members | Json[], key: string, value: Json): void {
  Object.defineProperty(holder, key, { value, configurable: true, enumerable: true, writable: true })
}

function changeBytes(bytes: Buffer, change: Extract<JsonMutation, { kind: 'bytes' }>): Buffer {
  const at = change.offset % Math.max(1, bytes.length)
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
  const filler = Buffer.alloc(change.length, change.value)
  switch (change.change) {
    case 'flip':
      return Buffer.concat([
        before,
        after.map((byte, index) => (index === 0 ? byte ^ (1 << (change.value & 7)) : byte)),
      ])
    case 'set':
      return Buffer.concat([before, Buffer.of(change.value), after.subarray(1)])
    case 'insert':
      return Buffer.concat([before, filler, after])
    case 'delete':
      return Buffer.concat([before, after.subarray(change.length)])
    case 'truncate':
      return before
    case 'append':
      return Buffer.concat([bytes, filler])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, change.length), after])
  }
}
