/**
 * The part of the library that works with a TPM 2.0, for Node on the device: what package `qflare/tpm` exports. It runs the
 * programs of tpm2-tools.
 */

export { openAttesters, type StoredAttestersOptions } from './open-attesters.ts'
export { createSealedFileStore, type SealOptions } from './tpm/sealed-file-store.ts'
export { openTpmAttester, type TpmAttesterOptions } from './tpm/tpm-attester.ts'
