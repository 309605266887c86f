import { z } from 'zod'
import { deviceCapabilities, deviceLabel } from '../../protocol/device-labels.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { deviceMetadata, principalKinds, principalStatuses } from '../../protocol/enrollment.ts'
import { kid, signatureAlgorithm, timestamp, uuid } from '../../protocol/wire.ts'
import type { Device } from '../services/devices.ts'

/** A device or coordinator as every route shows it. */
export const deviceJson = z
  .strictObject({
    id: uuid,
    name: z.string(),
    kind: z.enum(principalKinds),
    type: deviceLabel.nullable(),
    capabilities: deviceCapabilities,
    status: z.enum(principalStatuses),
    spiffeId: z.string(),
    identityKey: z.strictObject({
      kid,
      alg: signatureAlgorithm,
      publicKey: z.string(),
      since: timestamp,
      rotationDueSince: timestamp.nullable().meta({ description: 'when it was found to be old' }),
    }),
    activeSessionId: uuid.nullable(),
    slowedUntil: timestamp.nullable().meta({ description: 'it may ask for little until then; it may be over' }),
    attestationRequiredSince: timestamp
      .nullable()
      .meta({ description: 'since then it gets no key of a round until it attests' }),
    metadata: deviceMetadata,
    createdAt: timestamp,
    lastSeenAt: timestamp.nullable().meta({ description: 'of its last exchange, opened or confirmed' }),
  })
  .meta({ id: 'Device' })

export function toDeviceJson(device: Device): z.input<typeof deviceJson> {
  const { identityKey } = device
  return {
    id: device.id,
    name: device.name,
    kind: device.kind,
    type: device.type ?? null,
    capabilities: device.capabilities,
    status: device.status,
    spiffeId: device.spiffeId,
    identityKey: {
      kid: identityKey.kid,
      alg: identityKey.alg,
      publicKey: toBase64url(identityKey.publicKey),
      since: identityKey.createdAt,
      rotationDueSince: identityKey.rotationDueSince ?? null,
    },
    activeSessionId: device.activeSessionId ?? null,
    slowedUntil: device.slowedUntil ?? null,
    attestationRequiredSince: device.attestationRequiredSince ?? null,
    metadata: device.metadata,
    createdAt: device.createdAt,
    lastSeenAt: device.lastSeenAt ?? null,
  }
}
