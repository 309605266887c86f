/** Events of the keys of the service itself, for the table of all types. */
export const keyEventTypes = {
  'signing_key.published': {
    severity: 'notice',
    meaning: 'A successor of a signing key is in the trust bundle; it does not sign yet.',
    subject: ['kid'],
    data: ['use', 'alg', 'trustSequence'],
  },
  'signing_key.activated': {
    severity: 'notice',
    meaning: 'A signing key signs from here on, in the place of the one before it.',
    subject: ['kid'],
    data: ['use', 'alg', 'replaces'],
  },
  'signing_key.retired': {
    severity: 'notice',
    meaning: 'A signing key signs no more, and its seed is erased; what it signed until then stays good.',
    subject: ['kid'],
    data: ['use', 'alg', 'trustSequence', 'notAfter?'],
  },
  'signing_key.withdrawn': {
    severity: 'notice',
    meaning: 'A retired signing key is no longer in the trust bundle.',
    subject: ['kid'],
    data: ['use', 'alg', 'trustSequence'],
  },
  'root.taken_offline': {
    severity: 'warning',
    meaning: 'Whoever has the machine wrote the root of trust to a file, and its seed was erased from the database.',
    subject: ['kid'],
    data: [],
  },
  'root.brought_online': {
    severity: 'warning',
    meaning: 'Whoever has the machine and the file of the root of trust gave its seed back to the service.',
    subject: ['kid'],
    data: [],
  },
  'trust.bundle_drafted': {
    severity: 'notice',
    meaning: 'The next trust bundle, or another one in its place, waits for the root of trust, which is offline.',
    subject: [],
    data: ['trustSequence', 'added', 'ended', 'removed'],
  },
  'trust.bundle_signed': {
    severity: 'notice',
    meaning: 'A trust bundle that waited was signed by the root of trust, and is given to devices from here on.',
    subject: ['kid'],
    data: ['trustSequence', 'added', 'ended', 'removed'],
  },
  'trust.brought_ahead': {
    severity: 'warning',
    meaning: 'Whoever has the machine gave the keys of the database out again, for devices that are ahead of it.',
    subject: [],
    data: ['trustSequence', 'bundles'],
  },
  'kek.rotation_requested': {
    severity: 'notice',
    meaning: 'Whoever has the machine asked for the next version of a key-encryption key.',
    subject: ['purpose', 'version'],
    data: [],
  },
  'kek.made': {
    severity: 'notice',
    meaning: 'A new version of a key-encryption key seals from here on.',
    subject: ['purpose', 'version'],
    data: ['replaces', 'why'],
  },
  'kek.overused': {
    severity: 'critical',
    meaning:
      'A key-encryption key has sealed far more often than it should, and has no successor: nobody makes one. Once a key.',
    subject: ['purpose', 'version'],
    data: ['uses'],
  },
  'kek.resealed': {
    severity: 'info',
    meaning: 'Values were sealed again, or MACs made again, under the newest version of their key-encryption key.',
    subject: ['purpose', 'version'],
    data: ['values'],
  },
  'kek.destroyed': {
    severity: 'notice',
    meaning: 'A version of a key-encryption key that nothing is sealed under any more was erased.',
    subject: ['purpose', 'version'],
    data: [],
  },
  'policy.mac_mismatched': {
    severity: 'critical',
    meaning:
      'A rotation found a version of an appraisal policy whose MAC is wrong: somebody wrote to the database; once a version.',
    subject: ['policyId'],
    data: [],
  },
  'attester.mac_mismatched': {
    severity: 'critical',
    meaning:
      'A rotation found the state of the attester of a device whose MAC is wrong: somebody wrote to the database; once a state.',
    subject: ['deviceId'],
    data: ['format'],
  },
  'trust_anchor.mac_mismatched': {
    severity: 'critical',
    meaning: 'A trust anchor is not as it was added or removed: somebody wrote to the database.',
    subject: ['trustAnchorId'],
    data: [],
  },
  'reference_value.mac_mismatched': {
    severity: 'critical',
    meaning: 'A reference value is not as it was added or removed: somebody wrote to the database.',
    subject: ['referenceValueId'],
    data: [],
  },
  'collateral.mac_mismatched': {
    severity: 'critical',
    meaning: 'Collateral is not as it was added or removed: somebody wrote to the database.',
    subject: ['collateralId'],
    data: [],
  },
  'identity_key.mac_mismatched': {
    severity: 'critical',
    meaning: 'The identity key of a device is not the one that enrolled: somebody wrote to the database.',
    subject: ['deviceId'],
    data: ['kid'],
  },
} as const
