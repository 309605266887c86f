import { describe, expect, it } from 'vitest'
import { fromBase64url } from '../../../protocol/encoding.ts'
import { type AuditEvent, auditEntry, MAX_ENTRY_BYTES, NIL_UUID } from '../../../protocol/log/audit-event.ts'
import { ownVectors } from '../../support/protocol-own-vectors.ts'
import { refusalOf } from '../../support/protocol-providers.ts'

const salt = new Uint8Array(16)
const event: AuditEvent = {
  id: '0197b2f0-0000-7000-8000-000000000000',
  at: 1_795_318_200_000,
  organizationId: NIL_UUID,
  actor: { type: 'service', id: NIL_UUID },
  type: 'service.initialized',
  severity: 'info',
  subject: {},
  data: {},
  requestId: '',
}
const ofSize = (text: string) => auditEntry({ ...event, data: { text } }, salt)

describe('an entry of the audit log', () => {
  it('is the canonical JSON of the vectors', () => {
    const entries = ownVectors.audit.events.map((recorded) => {
      const { v, salt: text, ...rest } = recorded as unknown as AuditEvent & { v: number; salt: string }
      expect(v).toBe(1)
      return auditEntry(rest, fromBase64url(text, 16))
    })
    expect(entries).toEqual(ownVectors.audit.leavesJcs)
  })

  it(`has at most ${MAX_ENTRY_BYTES} bytes, whatever they are`, () => {
    const room = MAX_ENTRY_BYTES - ofSize('').length
    expect(MAX_ENTRY_BYTES).toBe(65_535)
    expect(ofSize('x'.repeat(room)).length).toBe(MAX_ENTRY_BYTES)
    const refusal = {
      code: 'encoding_invalid',
      message: 'An event of type service.initialized is longer than 65535 bytes.',
    }
    expect(refusalOf(() => ofSize('x'.repeat(room + 1)))).toEqual(refusal)
    expect(refusalOf(() => ofSize('é'.repeat(Math.ceil((room + 1) / 2))))).toEqual(refusal)
  })

  it('is another with another salt', () => {
    expect(auditEntry(event, new Uint8Array(16).fill(1))).not.toBe(auditEntry(event, salt))
  })
})
