/** Of `auditEventTypes`, which holds them to its shape: evidence, and what was found of it. */
export const attestationEventTypes = {
  'trust_anchor.added': {
    severity: 'notice',
    meaning:
      'An operator let an organization trust a certificate authority or a key; the fingerprint is the SHA-256 of its DER.',
    subject: ['trustAnchorId'],
    data: ['format', 'kind', 'lookupId', 'fingerprint', 'name'],
  },
  'trust_anchor.removed': {
    severity: 'notice',
    meaning: 'An operator removed a trust anchor: what leads to it alone is refused at its next attestation.',
    subject: ['trustAnchorId'],
    data: ['format', 'kind', 'lookupId', 'fingerprint', 'name'],
  },
  'reference_value.added': {
    severity: 'notice',
    meaning: 'An operator added what evidence is compared with; the hash is the SHA-256 of its canonical JSON.',
    subject: ['referenceValueId'],
    data: ['format', 'name', 'valueHash'],
  },
  'reference_value.removed': {
    severity: 'notice',
    meaning: 'An operator removed a reference value: evidence is compared without it from then on.',
    subject: ['referenceValueId'],
    data: ['format', 'name', 'valueHash'],
  },
  'collateral.added': {
    severity: 'notice',
    meaning:
      'An operator imported a revocation list or a statement of a vendor; it takes the place of the one before, where there was one. The hash is the SHA-256 of its body.',
    subject: ['collateralId'],
    data: ['kind', 'lookupId', 'bodyHash', 'name', 'issuedAt', 'nextUpdateAt'],
  },
  'collateral.removed': {
    severity: 'notice',
    meaning: 'Collateral was removed by an operator, or a newer one took its place: evidence is appraised without it.',
    subject: ['collateralId'],
    data: ['kind', 'lookupId', 'bodyHash', 'name', 'issuedAt', 'nextUpdateAt', 'replacedBy?'],
  },
  'collateral.ending': {
    severity: 'warning',
    meaning: 'Collateral in use ends soon, and nothing newer was imported; once.',
    subject: ['collateralId'],
    data: ['kind', 'lookupId', 'name', 'issuedAt', 'nextUpdateAt'],
  },
  'collateral.ended': {
    severity: 'warning',
    meaning: 'Collateral in use is out of date: evidence is appraised as its policy says of that; once.',
    subject: ['collateralId'],
    data: ['kind', 'lookupId', 'name', 'issuedAt', 'nextUpdateAt'],
  },
  'enrollment.credential_given': {
    severity: 'info',
    meaning: 'Somebody who knew an enrolment was given a secret that only the platform with its keys can open.',
    subject: ['enrollmentTokenId'],
    data: ['format', 'policyId'],
  },
  'enrollment.credential_refused': {
    severity: 'warning',
    meaning: 'Somebody who knew an enrolment showed keys that were refused; a new challenge gives another attempt.',
    subject: ['enrollmentTokenId'],
    data: ['code'],
  },
  'device.attestation_challenged': {
    severity: 'info',
    meaning: 'A device asked to attest for its session and was given a challenge.',
    subject: ['deviceId', 'sessionId'],
    data: ['expiresAt'],
  },
  'device.attestation_mismatched': {
    severity: 'critical',
    meaning:
      'Somebody answered the challenge of an attestation without the signature of the identity key; once a challenge.',
    subject: ['deviceId', 'sessionId'],
    data: ['code'],
  },
  'device.attestation_refused': {
    severity: 'warning',
    meaning: 'A device signed what could not be appraised, and the challenge is spent; it proves nothing.',
    subject: ['deviceId', 'sessionId'],
    data: ['code'],
  },
  'device.attested': {
    severity: 'info',
    meaning: 'The evidence of a device was appraised, whatever was found.',
    subject: ['deviceId', 'sessionId'],
    data: ['attestationId', 'kid', 'tier', 'policyId'],
  },
  'device.quarantined': {
    severity: 'critical',
    meaning:
      'The evidence of a device spoke against it: its sessions ended, and it is refused until an operator clears it.',
    subject: ['deviceId'],
    data: ['attestationId', 'policyId', 'checks', 'sessions'],
  },
  'device.quarantine_cleared': {
    severity: 'notice',
    meaning: 'An operator let a quarantined device exchange again.',
    subject: ['deviceId'],
    data: [],
  },
  'device.attestation_overdue': {
    severity: 'warning',
    meaning: 'A device in a session has missed two attestations in a row; once until it attests again.',
    subject: ['deviceId'],
    data: ['missed'],
  },
  'attestations.pruned': {
    severity: 'notice',
    meaning:
      'All results and evidence of before a day were dropped, as the retention says, but for results that somebody relied on.',
    subject: [],
    data: ['before', 'results', 'evidence'],
  },
  'attestations.released': {
    severity: 'info',
    meaning: 'Results that were kept beyond the retention were deleted: nobody relied on them any more.',
    subject: [],
    data: ['results'],
  },
} as const
