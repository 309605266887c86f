import { canonicalJson, type Json, toBase64Padded } from '../../protocol/encoding.ts'
import { auditEventTypes } from '../../protocol/log/audit-event-types.ts'
import type { CheckpointKeys, VerifiedCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { RoundCertificate } from '../../protocol/rounds/round-certificate.ts'
import { type Found, MAX_SHOWN, memberOf, type ShownEvent } from './verify-files.ts'
import type { VerifiedRoundFile } from './verify-round.ts'

type Row = readonly [name: string, value: string]
const meanings = new Map<string, string>(Object.entries(auditEventTypes).map(([type, { meaning }]) => [type, meaning]))

/** One line. */
export function verdictOf({ problem, checkpoint, entries, round, shown }: Found): string {
  if (problem !== undefined) {
    const at = problem.index === undefined ? '' : `: the first bad entry is ${problem.index}`
    return `NOT verified${at}. ${problem.reason}`
  }
  const log = checkpoint?.origin ?? ''
  if (round !== undefined) return roundVerdict(round.certificate)
  if (entries === undefined) return `Verified: the event is entry ${shown[0]?.index} of ${log}.`
  return `Verified: ${counted(entries.to - entries.from)} entries of ${log} are what was signed.`
}

function roundVerdict({ round, federationId, state, participants }: RoundCertificate): string {
  const end = state === 'CLOSED' ? 'was closed' : 'failed'
  const devices = participants.length === 1 ? '1 device' : `${counted(participants.length)} devices`
  return `Verified: round ${round} of federation ${federationId} ${end}, with ${devices}.`
}

export function reportRows({ checkpoint, entries, round, shown }: Found, keys: CheckpointKeys): Row[] {
  const index = entries === undefined ? shown[0]?.index : undefined
  return [
    ...(round === undefined ? [] : roundRows(round)),
    ...(checkpoint === undefined ? [] : [['Log', checkpoint.origin] as const]),
    ...(index === undefined ? [] : [['Index', String(index)] as const]),
    ...(entries === undefined ? [] : entryRows(entries)),
    ...(checkpoint === undefined ? [] : checkpointRows(checkpoint, keys)),
  ]
}

function roundRows({ certificate, checks }: VerifiedRoundFile): Row[] {
  const { round, state, federationId, organizationId, policy, minParticipants, aggregateHash } = certificate
  return [
    ['Round', `${round}, ${state}`],
    ['Federation', federationId],
    ['Organization', organizationId],
    ['Policy', policy],
    ['Devices', `${counted(certificate.participants.length)}, at least ${counted(minParticipants)} wanted`],
    ['Opened at', formatTime(certificate.openedAt)],
    ['Closed at', formatTime(certificate.closedAt)],
    ['Result, as the coordinator stated it', aggregateHash ?? 'nothing stated'],
    ...checks.map(({ check, detail }) => [`Checked: ${check}`, detail] as const),
  ]
}

/** Who was in the round: of those whose id has `query` in it, the first. */
export function showParticipants(list: HTMLElement, { round }: Found, query: string): void {
  const all = round?.certificate.participants ?? []
  const matching = query === '' ? all : all.filter(({ deviceId }) => deviceId.includes(query))
  const limit = matching.length > MAX_SHOWN ? `, the first ${MAX_SHOWN} of them here` : ''
  const of = query === '' ? 'Devices' : `Devices with “${query}”`
  const tables = matching.slice(0, MAX_SHOWN).map(({ deviceId, ...members }) => {
    const table = make('table')
    showRows(table, [
      ['device', deviceId],
      ...Object.entries(members).map(([name, value]) => [name, String(value)] as const),
    ])
    return table
  })
  list.replaceChildren(make('h2', `${of}: ${counted(matching.length)}${limit}`), ...tables)
}

function entryRows({ from, to, events, hashesOnly }: NonNullable<Found['entries']>): Row[] {
  return [
    ['Entries in the file', to > from ? `${counted(to - from)}: ${from} to ${to - 1}` : 'none'],
    ['Events in full', counted(events)],
    ['Hashes only', counted(hashesOnly)],
  ]
}

function checkpointRows(
  { size, root, signedAt, signatures, cosignatures }: VerifiedCheckpoint,
  keys: CheckpointKeys,
): Row[] {
  const witnesses = cosignatures.map(({ by, at }) => `${keyText(by)}, ${formatTime(at)}`)
  return [
    ['Size of the log', counted(size)],
    ['Root', toBase64Padded(root)],
    ['Signed at', signedAt === 0 ? 'not said by this kind of signature' : formatTime(signedAt)],
    ...signatures.map(({ by }) => ['Signed by', keyText(by)] as const),
    ...((keys.witnesses ?? []).length === 0 ? [['Witnesses', 'none asked for'] as const] : []),
    ...witnesses.map((text) => ['Witness', text] as const),
  ]
}

function keyText({ name, keyId, key }: VerifierKey): string {
  return `${name}, key id ${toHex(keyId)}, ${key.alg}`
}

export function showRows(table: HTMLTableElement, rows: readonly Row[]): void {
  const lines = rows.map(([name, value]) => {
    const header = make('th', name)
    header.scope = 'row'
    return make('tr', '', header, make('td', value))
  })
  table.replaceChildren(make('tbody', '', ...lines))
}

/** The one event of a proof opened, those of an export to be opened. */
export function showEvents(list: HTMLElement, { entries, shown, matches }: Found, query: string): void {
  const limit = matches > MAX_SHOWN ? `, the first ${MAX_SHOWN} of them here` : ''
  const of = query === '' ? 'Events' : `Events with “${query}”`
  const title = entries === undefined ? 'The event' : `${of}: ${counted(matches)}${limit}`
  const details = shown.map((one) => eventDetails(one, entries === undefined))
  list.replaceChildren(make('h2', title), ...details)
}

function eventDetails({ index, event }: ShownEvent, isOpen: boolean): HTMLElement {
  const { type, at, subject } = event
  const device = memberOf(subject, 'deviceId')
  const words = [index, formatTime(at), ...[type, device].filter((value) => value !== undefined).map(plain)]
  const details = make('details', '', make('summary', words.join(' · ')))
  const fill = () => {
    const table = make('table')
    showRows(table, eventRows(event))
    details.append(
      table,
      make('p', 'As it was hashed; what would not show is written as \\uXXXX:'),
      make('pre', canonicalJson(event)),
    )
  }
  // Two hundred events of 64 KiB would be slow to lay out.
  if (!isOpen) details.addEventListener('toggle', fill, { once: true })
  else fill()
  details.open = isOpen
  return details
}

function eventRows(event: ShownEvent['event']): Row[] {
  const meaning = typeof event['type'] === 'string' ? meanings.get(event['type']) : undefined
  const rows = Object.entries(event).flatMap(([name, value]): Row[] => {
    if (name === 'at') return [['at', `${plain(value)} (${formatTime(value)})`]]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[name, plain(value)]]
    return Object.entries(value).map(([member, inner]) => [`${name}.${member}`, plain(inner)])
  })
  return meaning === undefined ? rows : [['what it means', meaning], ...rows]
}

function plain(value: Json): string {
  return typeof value === 'string' ? value : canonicalJson(value)
}

/** Whatever is signed as a time may be too large for a date. */
export function formatTime(at: Json | undefined): string {
  if (typeof at !== 'number' || !(Math.abs(at) <= 8_640_000_000_000_000)) return 'no time'
  return `${new Date(at).toISOString().replace('T', ' ').replace('Z', '')} UTC`
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function counted(count: number): string {
  return count.toLocaleString('en')
}

/** The only way text gets into the page: never as HTML, and what does not show, or turns other text around, as \uXXXX. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text = '',
  ...children: Node[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  element.textContent = printable(text)
  element.append(...children)
  return element
}

export function printable(text: string): string {
  return text.replace(/(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu, (character) =>
    Array.from({ length: character.length }, (_, at) => character.charCodeAt(at).toString(16).padStart(4, '0'))
      .map((unit) => `\\u${unit}`)
      .join(''),
  )
}
