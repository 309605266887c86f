/** KEM suites: one indivisible name each (docs/protocol.md §1). Lengths in bytes, FIPS 203 table 3. */
export const suites = {
  'ML-KEM-1024': { encapsulationKeyBytes: 1568, ciphertextBytes: 1568, sharedSecretBytes: 32, seedBytes: 64 },
} as const

export type Suite = keyof typeof suites
export const suiteNames = Object.keys(suites) as [Suite, ...Suite[]]

/** Signature algorithms. Lengths in bytes, FIPS 204 table 2; `category` is the NIST security category. */
export const signatureAlgorithms = {
  'ML-DSA-44': { publicKeyBytes: 1312, signatureBytes: 2420, seedBytes: 32, category: 2 },
  'ML-DSA-65': { publicKeyBytes: 1952, signatureBytes: 3309, seedBytes: 32, category: 3 },
  'ML-DSA-87': { publicKeyBytes: 2592, signatureBytes: 4627, seedBytes: 32, category: 5 },
} as const

export type SignatureAlgorithm = keyof typeof signatureAlgorithms
export const signatureAlgorithmNames = Object.keys(signatureAlgorithms) as [SignatureAlgorithm, ...SignatureAlgorithm[]]

/** Every FIPS 204 context string that QFLARE signs under; each has one purpose (docs/protocol.md §8). */
export const signatureContexts = {
  bucket: 'QFLARE-v1 bucket',
  enroll: 'QFLARE-v1 enroll',
  exchange: 'QFLARE-v1 exchange',
  rotate: 'QFLARE-v1 rotate',
  reattest: 'QFLARE-v1 reattest',
  trust: 'QFLARE-v1 trust',
  checkpoint: 'QFLARE-v1 checkpoint',
  round: 'QFLARE-v1 round',
  /** As JWS (RFC 9964) and the C2SP cosignature have it. Their keys, attestation and audit, sign nothing else in it. */
  empty: '',
} as const

export type SignatureContext = (typeof signatureContexts)[keyof typeof signatureContexts]
