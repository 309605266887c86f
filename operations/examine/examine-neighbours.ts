import type { ClientConfig } from 'pg'
import { type Neighbours, readNeighbours } from '../../database/inspect-server.ts'
import { formatBytes } from '../format-bytes.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('replicas')

const FAR_BEHIND_BYTES = 64 * 2 ** 20
const MUCH_KEPT_BYTES = 2 ** 30

/** Who else works on the database, and which servers follow it, as far as the login may see that. */
export async function examineNeighbours(connection: ClientConfig): Promise<Finding[]> {
  const { isReplica, processes, hasSequencer, replicas, idleSlots } = await readNeighbours(connection)
  const workers = findingsOf('processes')
  const atWork = `processes with temporal keys on this database: ${processes}`
  return [
    ...(isReplica
      ? [
          problem(
            'this PostgreSQL is a replica, and takes no writes',
            'Name the primary in DATABASE_URL and the others.',
          ),
        ]
      : []),
    processes > 0 && !hasSequencer
      ? workers.problem(
          `${atWork}; no process is the sequencer of the audit log`,
          'Start one with the role sequencer: events wait in the database until then.',
        )
      : workers.ok(hasSequencer ? `${atWork}; there is a sequencer of the audit log` : atWork),
    ...(replicas.length === 0 ? [ok('no server follows this PostgreSQL')] : replicas.map(replicaFinding)),
    ...idleSlots.flatMap(slotFindings),
  ]
}

function replicaFinding({ name, state, behindBytes }: Neighbours['replicas'][number]): Finding {
  if (state === undefined || behindBytes === undefined) {
    const advice = 'Grant pg_monitor to the login of QFLARE_DATABASE_URL_WORKER, or ask PostgreSQL itself.'
    return unseen(`${name} follows; how far it is may not be seen`, advice)
  }
  const text = `${name} follows (${state}), ${formatBytes(behindBytes)} behind`
  const advice = 'See whether it and the network are well: what it lacks is lost if it becomes the primary now.'
  return state !== 'streaming' || behindBytes > FAR_BEHIND_BYTES ? warning(text, advice) : ok(text)
}

function slotFindings({ name, keptBytes }: Neighbours['idleSlots'][number]): Finding[] {
  const text = `nobody follows by the slot ${name}, for which ${formatBytes(keptBytes)} of write-ahead log are kept`
  const advice = `Bring its follower back, or drop the slot: select pg_drop_replication_slot('${name}').`
  return [(keptBytes > MUCH_KEPT_BYTES ? problem : warning)(text, advice)]
}
