/** Of `auditEventTypes`, which holds them to its shape: federations, and the rounds that they run. */
export const federationEventTypes = {
  'federation.created': {
    severity: 'notice',
    meaning: 'Somebody made a federation, on this policy.',
    subject: ['federationId'],
    data: ['federation', 'policy'],
  },
  'federation.member_added': {
    severity: 'info',
    meaning: 'A device became a member of a federation.',
    subject: ['federationId', 'deviceId'],
    data: [],
  },
  'federation.member_removed': {
    severity: 'info',
    meaning: 'A device is no longer a member of a federation, and is given no more keys.',
    subject: ['federationId', 'deviceId'],
    data: [],
  },
  'federation.coordinator_added': {
    severity: 'notice',
    meaning: 'A coordinator was assigned to a federation: it may be given the keys of its rounds.',
    subject: ['federationId', 'deviceId'],
    data: [],
  },
  'federation.coordinator_removed': {
    severity: 'notice',
    meaning: 'A coordinator is no longer assigned to a federation.',
    subject: ['federationId', 'deviceId'],
    data: [],
  },
  'round.opened': {
    severity: 'info',
    meaning: 'A round of a federation began.',
    subject: ['federationId', 'round'],
    data: ['minParticipants'],
  },
  'round.keys_given': {
    severity: 'info',
    meaning: 'A coordinator was given the keys of a round for these devices.',
    subject: ['federationId', 'round', 'sessionId'],
    data: ['epoch', 'given', 'refused', 'givenHash'],
  },
  'round.epoch_gone': {
    severity: 'info',
    meaning: 'A device said that it no longer has the chain of the key that was given out for it.',
    subject: ['federationId', 'round', 'deviceId', 'sessionId'],
    data: ['epoch'],
  },
  'round.closed': {
    severity: 'info',
    meaning: 'A round ended with enough participants; its certificate is signed.',
    subject: ['federationId', 'round'],
    data: ['certificateHash', 'participants', 'minParticipants'],
  },
  'round.failed': {
    severity: 'notice',
    meaning: 'A round ended with fewer participants than it needed; its certificate is signed.',
    subject: ['federationId', 'round'],
    data: ['certificateHash', 'participants', 'minParticipants'],
  },
} as const
