import { newId } from '../../../runtime/ids.ts'
import { call, enrollTestDevice } from '../api.ts'
import { askKeys, openRound } from '../rounds.ts'
import { coordinators, inSession, operatorsAndCoordinators, type Row } from './outcomes.ts'
import type { AccessWorld } from './world.ts'

/** Who may call what of federations and rounds. */
export function federationRows(world: AccessWorld): Record<string, Row> {
  const ofFederation = (what: string) => () => `${world.federation.path}/${what}`
  /** A round in which `device` was given a key. */
  const ofRound = (what: string) => async () => {
    const round = await openRound(world.service, world.coordinator, world.federation)
    await askKeys(world.service, world.coordinator, round)
    return `${round.path}${what}`
  }

  return {
    'POST /v1/federations': {
      body: () => ({ name: newId() }),
      outcomes: { ...coordinators(201), coordinator: 201, otherCoordinator: 201, foreignAdmin: 201 },
    },
    'GET /v1/revocations': {
      outcomes: { ...operatorsAndCoordinators(200), coordinator: 200, otherCoordinator: 200, foreignAdmin: 200 },
    },
    'GET /v1/federations': {
      outcomes: { ...operatorsAndCoordinators(200), coordinator: 200, otherCoordinator: 200, foreignAdmin: 200 },
    },
    'GET /v1/federations/:id': { path: () => world.federation.path, outcomes: operatorsAndCoordinators(200) },
    'GET /v1/federations/:id/members': { path: ofFederation('members'), outcomes: operatorsAndCoordinators(200) },
    'PUT /v1/federations/:id/members/:deviceId': {
      path: () => `${world.federation.path}/members/${world.device.deviceId}`,
      outcomes: coordinators(204),
    },
    'DELETE /v1/federations/:id/members/:deviceId': {
      path: () => `${world.federation.path}/members/${world.otherDevice.deviceId}`,
      outcomes: coordinators(204),
    },
    'PUT /v1/federations/:id/coordinators/:principalId': {
      path: () => `${world.federation.path}/coordinators/${world.coordinator.deviceId}`,
      outcomes: operatorsAndCoordinators(204),
    },
    'DELETE /v1/federations/:id/coordinators/:principalId': {
      path: async () =>
        `${world.federation.path}/coordinators/${(await enrollTestDevice(world.service, { kind: 'coordinator' })).deviceId}`,
      outcomes: operatorsAndCoordinators(204),
    },
    'POST /v1/federations/:id/rounds': { path: ofFederation('rounds'), body: {}, outcomes: coordinators(201) },
    'GET /v1/federations/:id/rounds': { path: ofFederation('rounds'), outcomes: operatorsAndCoordinators(200) },
    'GET /v1/federations/:id/rounds/:round': { path: ofRound(''), outcomes: operatorsAndCoordinators(200) },
    'GET /v1/federations/:id/rounds/:round/participants': {
      path: ofRound('/participants'),
      outcomes: operatorsAndCoordinators(200),
    },
    'POST /v1/federations/:id/rounds/:round/keys': {
      path: ofRound('/keys'),
      body: {},
      outcomes: inSession({ coordinatorInSession: 200, otherCoordinator: 404 }),
    },
    'POST /v1/federations/:id/rounds/:round/close': {
      path: ofRound('/close'),
      body: {},
      outcomes: inSession({ coordinatorInSession: 200, otherCoordinator: 404 }),
    },
    'GET /v1/federations/:id/rounds/:round/certificate': {
      path: async () => {
        const path = await ofRound('')()
        await call(world.service, 'POST', `${path}/close`, { token: world.coordinator.accessToken, body: {} })
        return `${path}/certificate`
      },
      outcomes: { ...operatorsAndCoordinators(200), auditor: 200 },
    },
    'GET /v1/federations/:id/rounds/:round/membership': {
      path: ofRound('/membership'),
      outcomes: inSession({ device: 200, otherDevice: 404 }),
    },
    'POST /v1/federations/:id/rounds/:round/membership': {
      path: ofRound('/membership'),
      body: { status: 'epoch_gone' },
      outcomes: inSession({ device: 204, otherDevice: 404 }),
    },
  }
}
