-- The roles, logins and the database of docs/operations.md, "A PostgreSQL of your own". For psql, as a superuser:
--   psql --set=secrets=/etc/qflare/secrets --file=roles.sql postgres
-- The passwords are in the files postgres-api-password and so on of that folder; without one it is /run/secrets. Run again, it gives
-- the logins the passwords that stand there then, and changes nothing else.
\set ON_ERROR_STOP on
\if :{?secrets}
\else
  \set secrets /run/secrets
\endif
-- Not one password in the server's log.
set log_statement = 'none';
set log_min_duration_statement = -1;
set log_min_error_statement = 'panic';
set password_encryption = 'scram-sha-256';

-- What the owner owns, and what each process may do: no login has them by itself.
select format('create role %I nologin', name)
  from unnest(array['qflare_owner', 'qflare_migrator', 'qflare_api', 'qflare_worker', 'qflare_sequencer', 'qflare_auditor',
    'qflare_jobs', 'qflare_queues']) as name
  where not exists (select from pg_roles where rolname = name)
\gexec
grant qflare_owner to qflare_migrator with inherit false;
grant qflare_jobs to qflare_owner with inherit false;

select 'create database qflare owner qflare_owner'
  where not exists (select from pg_database where datname = 'qflare')
\gexec
revoke connect, temporary on database qflare from public;

\setenv QFLARE_SECRETS :secrets
\set api `cat "$QFLARE_SECRETS/postgres-api-password"`
\set auditor `cat "$QFLARE_SECRETS/postgres-auditor-password"`
\set worker `cat "$QFLARE_SECRETS/postgres-worker-password"`
\set sequencer `cat "$QFLARE_SECRETS/postgres-sequencer-password"`
\set queues `cat "$QFLARE_SECRETS/postgres-queues-password"`
\set migrator `cat "$QFLARE_SECRETS/postgres-migrator-password"`

select format('create role %I login', name)
  from unnest(array['api_login', 'auditor_login', 'worker_login', 'sequencer_login', 'queues_login', 'migrator_login']) as name
  where not exists (select from pg_roles where rolname = name)
\gexec
alter role api_login password :'api';
alter role auditor_login password :'auditor';
alter role worker_login password :'worker';
alter role sequencer_login password :'sequencer';
alter role queues_login password :'queues';
alter role migrator_login password :'migrator';

grant qflare_api to api_login;
grant qflare_auditor to auditor_login;
grant qflare_worker to worker_login;
grant qflare_sequencer to sequencer_login;
grant qflare_queues to queues_login;
grant qflare_owner to migrator_login with inherit false;
grant connect on database qflare
  to api_login, auditor_login, worker_login, sequencer_login, queues_login, migrator_login;
