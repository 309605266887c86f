import type { Client } from 'pg'

/** Cluster-wide roles (design: storage.md "Roles"). None of them logs in: a login is made a member of exactly one. */
export const roles = [
  'qflare_owner',
  'qflare_migrator',
  'qflare_api',
  'qflare_worker',
  'qflare_sequencer',
  'qflare_auditor',
  'qflare_jobs',
  'qflare_queues',
] as const

/** Makes the roles that are missing; safe to repeat. Needs a superuser, or CREATEROLE. */
export async function createRoles(client: Client): Promise<void> {
  for (const role of roles) {
    await client.query(`do $$ begin
      create role ${role} nologin nosuperuser nobypassrls;
    exception when duplicate_object then null; end $$`)
  }
  await client.query('grant qflare_owner to qflare_migrator with inherit false')
  // The owner gives functions to qflare_jobs, which has policies of its own.
  await client.query('grant qflare_jobs to qflare_owner with inherit false')
}
