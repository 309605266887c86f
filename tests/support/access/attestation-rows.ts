import { newId } from '../../../runtime/ids.ts'
import { everyone, inSession, operators, operatorsAndCoordinators, type Row } from './outcomes.ts'
import { type AccessWorld, zeroBytes as bytes } from './world.ts'

/** Who may call what of attestations. */
export function attestationRows(world: AccessWorld): Record<string, Row> {
  /** Of `device`, which is a member of the coordinator's federation. */
  const resultOfDevice = async () => {
    const { rows } = await world.service.database.sql.query(
      'select id from attestation_result where principal_id = $1',
      [world.device.deviceId],
    )
    return `/v1/attestations/${rows[0].id}`
  }
  return {
    'POST /v1/enrollments/:id/credential': {
      path: () => `/v1/enrollments/${newId()}/credential`,
      body: {},
      outcomes: everyone(404),
    },
    'POST /v1/attestations': {
      body: {},
      outcomes: inSession({ device: 201, otherDevice: 201, coordinatorInSession: 201, otherCoordinator: 201 }),
    },
    'POST /v1/attestations/:id': {
      path: () => `/v1/attestations/${newId()}`,
      body: { evidence: [{ format: 'none' }], signature: bytes(2420) },
      outcomes: inSession({ device: 404, otherDevice: 404, coordinatorInSession: 404, otherCoordinator: 404 }),
    },
    'GET /v1/attestations': {
      outcomes: {
        ...operatorsAndCoordinators(200),
        coordinator: 200,
        otherCoordinator: 200,
        foreignAdmin: 200,
      },
    },
    'GET /v1/attestations/:id': { path: resultOfDevice, outcomes: operatorsAndCoordinators(200) },
    'GET /v1/attestations/:id/ear': {
      path: async () => `${await resultOfDevice()}/ear`,
      outcomes: operatorsAndCoordinators(200),
    },
    'GET /v1/attestations/:id/evidence': {
      path: async () => `${await resultOfDevice()}/evidence`,
      outcomes: operators(200, 404),
    },
  }
}
