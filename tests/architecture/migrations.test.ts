import { describe, expect, it } from 'vitest'
import { migrations } from '../../database/migrations.ts'
import { findMigrationFaults } from './migration-faults.ts'
import { listFiles } from './repository.ts'

/** What was written before anything was released, and before the rule. */
const LAST_FREE = '0029-watched-devices'

/** By name, what a migration does all the same: nothing of the release before uses it any more, and the CHANGELOG says so. */
const decided: Record<string, readonly string[]> = {
  // Weeks ahead of every id that is written until 0031 takes the bound away.
  '0030-retention': ['may refuse what the release before writes'],
  // Two tables become partitions of tables with their names, columns, keys and rights; foreign keys go (decision 0050).
  '0031-attestation-partitions': ['drops what the release before may use', 'renames what the release before may use'],
}

describe('a migration', () => {
  it('stands in a file of its name, and every file is in the list, in the order of its number', () => {
    const files = listFiles().flatMap((path) => /^database\/migrations\/(.*)\.ts$/.exec(path)?.[1] ?? [])
    expect(migrations.map(({ name }) => name)).toEqual(files)
  })

  it('takes nothing away that the release before uses', () => {
    const found = migrations
      .filter(({ name }) => name > LAST_FREE)
      .map(({ name, up }): [string, readonly string[]] => [name, findMigrationFaults(up)])
      .filter(([, faults]) => faults.length > 0)
    expect(Object.fromEntries(found)).toEqual(decided)
  })
})

describe('what a migration takes away is seen', () => {
  it.each([
    ['drops', 'drop table incident'],
    ['drops', 'alter table incident drop column count'],
    ['drops', '-- with other arguments\ndrop function list_due(timestamptz);\ncreate function list_due() returns int'],
    ['drops', 'drop policy list_due on incident'],
    ['renames', 'alter table incident\n  rename column count to number'],
    ['renames', 'alter table incident rename to incidents'],
    ['changes the type', 'alter table federation alter column policy type text using policy::text'],
    ['wants a value', 'alter table incident alter column last_at set not null'],
    ['may refuse', 'alter table incident add constraint few check (count < 10)'],
    ['may refuse', 'create trigger t before insert on incident for each row execute function refuse()'],
    ['may hide', "create policy p on incident as restrictive using (status <> 'RESOLVED')"],
    ['adds a column', 'alter table incident add column a text default 1, add column site text not null'],
    ['takes a right', 'revoke select on incident from qflare_api'],
    ['lets writers wait', 'create index incident_at on incident (opened_at)'],
    ['drops', 'do $$ begin drop table incident; end $$'],
    [
      'may refuse',
      "do $$ begin execute format('alter table %I add constraint few check (count < 10)', 'incident'); end $$",
    ],
  ])('%s: %s', (what, sql) => {
    expect(findMigrationFaults(`create table other (id uuid);\n${sql};`)).toEqual([expect.stringContaining(what)])
  })

  it.each([
    'alter table incident add column site text',
    "alter table incident add column site text not null default ''",
    'alter table incident add column a text, add column b integer not null default 0',
    'create table place (id uuid not null); create index place_at on place (id); revoke update on place from qflare_api',
    'create table place (id uuid); alter table place add constraint sound check (id is not null)',
    'create or replace function f() returns void language sql as $$ delete from t; drop table t; $$',
    'create function f() returns void language sql begin atomic select 1; drop table t; end; grant select on t to qflare_api',
    'revoke execute on function f() from public; revoke create on schema public from qflare_jobs',
    'create policy p on incident for select to qflare_jobs using (true)',
    'do $$ begin alter table incident validate constraint sound; end $$',
  ])('and nothing else: %s', (sql) => {
    expect(findMigrationFaults(sql)).toEqual([])
  })
})
