/**
 * Results and evidence are base64 of signatures and keys, in which there is nothing to find for the compression of long values: it
 * takes time at every attestation, and gives nothing.
 */
export const up = `
alter table attestation_result alter column ear set storage external;
alter table evidence alter column body set storage external;
`
