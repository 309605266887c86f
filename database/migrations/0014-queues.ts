/**
 * The schema of the queues. What is in it is BullMQ's, which migrates it itself, as qflare_owner (database/migrate-queues.ts); whoever
 * works on the queues may work on all of it and change none of it.
 */
export const up = `
create schema bullmq;
grant usage on schema bullmq to qflare_queues;
alter default privileges in schema bullmq grant select, insert, update, delete on tables to qflare_queues;
alter default privileges in schema bullmq grant usage on sequences to qflare_queues;
alter default privileges in schema bullmq grant execute on functions to qflare_queues;
grant usage on schema public to qflare_queues;
`
