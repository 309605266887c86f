/**
 * The part of the library that works inside of a confidential virtual machine, SEV-SNP or TDX, for Node on the device: what package
 * `qflare/confidential` exports. It asks Linux for reports (configfs-tsm).
 */

export { type ConfidentialAttesterOptions, openConfidentialAttester } from './confidential/confidential-attester.ts'
export { openAttesters, type StoredAttestersOptions } from './open-attesters.ts'
